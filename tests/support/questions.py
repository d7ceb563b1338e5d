"""Questions with answers, written for the tests: what instruction and document look like at their best."""

from __future__ import annotations

QUESTIONS: tuple[tuple[str, str], ...] = (
    (
        "Why does bread go stale faster in the fridge?",
        "Stale bread is not mainly dry bread. After baking, the starch slowly returns to a crystalline form "
        "and pushes water out into the crumb, which makes a slice feel hard. This happens quickest a few "
        "degrees above freezing, so a cold shelf is the worst place to keep a loaf. Freezing stops it "
        "almost entirely.",
    ),
    (
        "How do I stop my bicycle chain from squeaking?",
        "A squeak nearly always means that the rollers run without oil. Wipe the links with a rag, put one "
        "drop of lubricant on each roller while turning the pedals backwards, wait ten minutes and wipe off "
        "whatever is left outside. Oil that stays on the surface only collects sand, and sand wears the "
        "sprockets.",
    ),
    (
        "What makes leaves turn red in autumn?",
        "As days shorten, a tree withdraws nitrogen from its foliage and breaks down chlorophyll. Yellow "
        "pigments that were hidden all summer become visible. Scarlet tones are different: they come from "
        "anthocyanins, which are made fresh in October out of trapped sugar, most of all when nights are "
        "cold and sunny days follow.",
    ),
    (
        "can you explain what a hash table is",
        "Imagine a wall of numbered drawers and a rule that turns any word into a drawer number. To store "
        "something you compute the number and put it there; to find it you compute again and look in one "
        "place instead of all. Two words may share a drawer, so each holds a short list, and the wall grows "
        "when lists get long.",
    ),
    (
        "Describe how a canal lock lifts a boat.",
        "The vessel enters a chamber whose lower gates then close behind it. Sluices in the upper gates "
        "open and water from the higher reach flows in by gravity alone. When both levels are equal, the "
        "pressure on the upper gates vanishes and they can be pushed open by hand. No pump is needed, only "
        "a steady supply uphill.",
    ),
    (
        "Which knots should every sailor know?",
        "Four are enough for most days. The bowline makes a loop that neither slips nor jams. A figure of "
        "eight keeps a rope's end from running through a block. The clove hitch fastens fenders to a rail, "
        "and the sheet bend joins two lines of unequal thickness. Practise them behind your back until "
        "fingers remember.",
    ),
    (
        "How is soap made at home?",
        "Weigh your fats and look up how much lye they need. Dissolve the lye in cold water, never the "
        "other way round, and let it cool. Melt the fats, bring both to about forty degrees, and blend "
        "until the mixture leaves a trace. Pour into moulds, cut after two days and leave the bars to cure "
        "for a month.",
    ),
    (
        "why do cats knead blankets",
        "Kittens press their mother's belly with alternate paws so that milk flows. Many adults keep the "
        "movement for moments of comfort: soft wool, a warm lap, drowsiness. Scent glands between the toes "
        "also leave a trace, which tells other animals that this place is taken. It is a sign of ease "
        "rather than of hunger.",
    ),
    (
        "Explain the difference between weather and climate.",
        "One is what you meet when you step outside: this afternoon's rain, tomorrow's frost. The other is "
        "a statistic over some thirty years, the range and frequency of such days at a place. A single cold "
        "winter says little about a trend, just as one throw of a die says little about whether it is "
        "loaded.",
    ),
    (
        "How can I remember people's names better?",
        "Most of us never forget a name, because we did not take it in to begin with. Repeat it aloud in "
        "your first reply, link it to a feature or to somebody you already know, and use it once more on "
        "parting. Write down three new acquaintances in the evening; retrieval fixes memory far better than "
        "rereading.",
    ),
    (
        "What is the best way to prune an old apple tree?",
        "Work in late winter and spread the job over three years. Begin with dead, diseased and crossing "
        "branches, then open the crown so that a hat could be thrown through it. Take whole limbs back to a "
        "fork instead of shortening many, since stubs answer with a thicket of upright shoots. Never remove "
        "more than a quarter.",
    ),
    (
        "how does noise cancelling in headphones work",
        "Tiny microphones on the shell record what arrives from outside. A circuit computes the mirror "
        "image of that wave and plays it through the loudspeaker, so that pressure and counter-pressure "
        "meet at your eardrum and cancel. Steady rumble is easy; sudden voices are over before the circuit "
        "has reacted.",
    ),
    (
        "Write a short guide to reading a contour map.",
        "Every brown line joins places of equal height. Where lines crowd together the slope is steep, and "
        "where they spread it is gentle. A set of closed rings is a summit or, with small ticks inward, a "
        "hollow. V-shapes that point uphill mark valleys, those that point downhill mark ridges. Count "
        "lines to find your climb.",
    ),
    (
        "Why is the sea salty while rivers are not?",
        "Rain dissolves a trace of minerals from rock and streams carry it down, far too little to taste. "
        "The ocean has no outflow except evaporation, which takes water and leaves sodium and chloride "
        "behind. Over hundreds of millions of years the trace has added up, until clay and evaporite beds "
        "remove as much as arrives.",
    ),
    (
        "What should I pack for a week of hiking in huts?",
        "Bed and meals are provided, so six kilograms suffice. Bring two sets of wool underwear, a fleece, "
        "a shell against rain, a thin sleeping liner, sandals for evenings, sunscreen, a headlamp, cash, a "
        "paper chart and half a roll of tape for blisters. Whatever you carry in case of boredom stays in "
        "the rucksack.",
    ),
    (
        "How do vaccines teach the immune system?",
        "They show a harmless part of a germ, or the recipe for it, to white blood cells. Those whose "
        "receptors fit multiply, and some of their offspring persist for decades. When the real germ "
        "arrives, these veterans start producing antibodies within days rather than weeks, usually before "
        "any symptom is felt.",
    ),
    (
        "i burnt my pan how do i clean it",
        "Cover the black crust with water, add two spoons of baking soda and simmer for fifteen minutes. "
        "Let it cool and lift the layer off with a wooden spatula. Stubborn spots give way to a paste of "
        "soda left overnight. Steel wool is for bare steel only; enamel and coatings would be scratched for "
        "good.",
    ),
    (
        "Tell the story of how the metre was defined.",
        "In 1791 the French academy chose one ten-millionth of the distance from pole to equator. Two "
        "astronomers spent seven years measuring the arc from Dunkirk to Barcelona through war and fever. A "
        "platinum bar embodied their result until 1960, when a krypton lamp took over, and since 1983 the "
        "speed of light fixes it.",
    ),
    (
        "What does an orchestra conductor actually do?",
        "The beat is the smallest part of it. In rehearsal a conductor decides tempo, balance and phrasing, "
        "hears which second clarinet is flat and explains why a passage should sound tired. On stage the "
        "hands remind eighty players of these decisions a fraction of a second before each one matters.",
    ),
    (
        "How do I choose a good melon at the market?",
        "Lift two of the same size and take the heavier. Smell the blossom end: ripe fruit is fragrant, an "
        "overripe one smells of wine. Netting should stand out like cord, with straw colour beneath rather "
        "than green, and the stalk should have come away cleanly. Knocking tells you something about "
        "watermelons only.",
    ),
    (
        "Why do old books smell the way they do?",
        "Paper contains lignin and cellulose which decay slowly in air. The fragments are light enough to "
        "evaporate: vanillin, benzaldehyde like almonds, a grassy furfural. Glue and ink add their own "
        "notes. Chemists can even estimate the age and condition of a volume by sampling the vapour above "
        "its pages.",
    ),
    (
        "Give me tips for speaking in front of a large audience.",
        "Know the first two sentences by heart and nothing else. Arrive early, stand where you will stand, "
        "and talk to somebody in row three. Speak to one face for a whole thought before moving on. Silence "
        "of three seconds feels endless to you and pleasant to them. If you lose the thread, say what you "
        "just said again.",
    ),
    (
        "how long do lithium batteries last and why",
        "Each charge leaves a little lithium bound in films on the electrodes, and heat speeds this up. "
        "After five hundred full cycles a phone's cell keeps perhaps eighty per cent. Staying between a "
        "fifth and four fifths, and out of the sun, can double that. Age counts too: even in a drawer some "
        "capacity fades.",
    ),
    (
        "What was daily life like in a medieval monastery?",
        "The bell divided everything. Brothers rose in the dark for the first of eight services, worked in "
        "garden or scriptorium between them, and ate once or twice a day in silence while one read aloud. "
        "Winter meant less food and more sleep. Guests, the sick and the accounts each had an officer of "
        "their own.",
    ),
    (
        "How do I know whether an email is a phishing attempt?",
        "Ask what it wants you to do in a hurry. Check the address behind the sender's display name, and "
        "hover over links to see the domain just before the first slash. Banks do not ask for passwords. If "
        "in doubt, close it and visit the site by typing its name yourself, or telephone a number from an "
        "old statement.",
    ),
    (
        "Explain compound interest to a teenager.",
        "You lend the bank a hundred euros and it pays five a year. Next year it pays on a hundred and "
        "five, because last year's reward is now part of the loan. It sounds like pennies, yet after "
        "fourteen years the sum has doubled, after twenty-eight it has quadrupled. Debt on a card grows by "
        "the same rule, only faster.",
    ),
    (
        "Which plants survive on a dark balcony?",
        "Ferns, ivy, hostas and lungwort evolved beneath trees and ask for little sun. Begonias and "
        "fuchsias flower in shade if mornings are bright. Herbs mostly sulk, except for mint, chives and "
        "sorrel. Pale walls and a mirror add more light than any fertiliser could replace; water less than "
        "you would in the south.",
    ),
    (
        "How was the height of Mount Everest first measured?",
        "Surveyors of the nineteenth century could not enter Nepal, so they sighted the peak from stations "
        "two hundred kilometres away with theodolites that took twelve men to carry. Trigonometry gave a "
        "raw figure, and clerks spent years correcting for refraction and curvature. They published 29,002 "
        "feet in 1856.",
    ),
    (
        "what's the point of daylight saving time",
        "Clocks were first moved during a war, to burn less coal for lamps in the evening. Today lighting "
        "is a small part of consumption and cooling has grown, so studies find savings close to nil. Shops "
        "and sports like the longer evenings; farmers, parents of small children and cardiologists mostly "
        "do not.",
    ),
    (
        "How do you tune a guitar without an electronic tuner?",
        "Take the pitch of one string from a fork or piano. Press the lowest at the fifth fret and match "
        "its neighbour to that note, listening for beats that slow down until they stop. Continue upwards, "
        "with the fourth fret for the interval between G and B. Finally strum a chord and correct by ear.",
    ),
    (
        "Summarise the causes of the French Revolution.",
        "The crown was bankrupt after helping America, and half its income went to creditors. Nobles and "
        "clergy refused to be taxed. Harvests failed in 1788 and a loaf cost a labourer's daily wage. "
        "Meanwhile a literate middle class had read that sovereignty belongs to citizens, and in May 1789 "
        "it was invited to Versailles.",
    ),
    (
        "Why do airplanes leave white trails?",
        "Burning kerosene produces water vapour and soot. Ten kilometres up it is fifty below zero, and the "
        "vapour freezes on soot grains within a wingspan behind the engine. In dry air such ice vanishes in "
        "seconds; in air already saturated it spreads into cirrus that may last all day and trap heat at "
        "night.",
    ),
    (
        "How should a beginner train for a ten kilometre run?",
        "Three sessions a week for ten weeks are plenty. Begin with four minutes of jogging and one of "
        "walking, six times. Add a repetition every week, and make one outing long and so slow that you can "
        "chat. From week six, run one session as four brisk kilometres with pauses. Rest for two days "
        "before the race.",
    ),
    (
        "What is the difference between a virus and a bacterium?",
        "A bacterium is a living cell with its own metabolism, a thousandth of a millimetre long, which "
        "divides by itself and can be killed by antibiotics. A virus is a parcel of genes in a protein "
        "coat, a hundred times smaller, inert until it enters a cell and makes that cell copy it. "
        "Antibiotics do nothing to it.",
    ),
    (
        "Describe a good process for reviewing code.",
        "Read the description before the diff and ask whether the change is wanted at all. Then look at "
        "tests, since they say what the author believes. Comment on behaviour first, names second, and "
        "leave layout to a formatter. Keep requests below four hundred lines, answer within a day, and say "
        "what you liked.",
    ),
    (
        "my sourdough starter smells like nail polish, is it dead?",
        "No. Acetone appears when yeast and bacteria have run out of sugar and live on what is left. Throw "
        "away all but a spoonful, feed it with equal weights of flour and water, and repeat every twelve "
        "hours somewhere warm. After three or four rounds it should double in six hours and smell of "
        "yoghurt again.",
    ),
)
