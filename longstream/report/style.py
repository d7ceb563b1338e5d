"""How the report looks: light and dark by the reader's own setting, one column on a phone, plain on paper."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f6f4; --card: #ffffff; --ink: #16181d; --dim: #5d636e; --rule: #dfe1e5;
  --after: #2b6cb8; --before: #98a2b3; --track: #eceef1;
  --good: #1b7f4b; --held: #96610a; --bad: #b3261e; --open: #2b6cb8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #121417; --card: #1b1e23; --ink: #e9ebee; --dim: #a2a9b4; --rule: #33383f;
    --after: #6ba6ea; --before: #727c8b; --track: #292d33;
    --good: #5cc98f; --held: #e3ae53; --bad: #f28b82; --open: #6ba6ea;
  }
}
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --card: #ffffff; --ink: #000000; --dim: #444444; --rule: #bbbbbb;
    --after: #1f5a9e; --before: #98a2b3; --track: #eeeeee;
    --good: #1b7f4b; --held: #96610a; --bad: #b3261e; --open: #1f5a9e;
  }
  main { max-width: none; padding: 0; }
  section { break-inside: avoid; }
  section.long { break-inside: auto; }
  tr, li { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px; display: grid; gap: 16px;
  grid-template-columns: repeat(2, minmax(0, 1fr)); align-items: start; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 18px 20px;
  min-width: 0; overflow-wrap: anywhere; }
.column { display: grid; gap: 16px; min-width: 0; align-content: start; }
.hero, .wide { grid-column: 1 / -1; }
.hero { border-left: 6px solid var(--open); }
.hero.good { border-left-color: var(--good); } .hero.good h1 { color: var(--good); }
.hero.held { border-left-color: var(--held); } .hero.held h1 { color: var(--held); }
.hero.bad { border-left-color: var(--bad); } .hero.bad h1 { color: var(--bad); }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 8px; }
h2 { font-size: 1.05rem; margin: 0 0 10px; }
h3 { font-size: .95rem; margin: 0 0 4px; }
p { margin: 0 0 10px; }
.eyebrow, .dim { color: var(--dim); }
.eyebrow { margin: 0 0 4px; }
.dim, dt, dd, td, th, footer { font-size: .86rem; }
.missing { color: var(--dim); font-style: italic; }
.reasons { margin: 0 0 14px; padding-left: 1.2em; }
.tiles { display: grid; gap: 10px; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); }
.tile { border: 1px solid var(--rule); border-radius: 8px; padding: 10px 12px; }
.figure { font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: minmax(96px, max-content) minmax(0, 1fr); gap: 3px 14px;
  margin: 8px 0 0; }
dt { color: var(--dim); max-width: 180px; } dd { margin: 0; font-variant-numeric: tabular-nums; }
code { font: .82rem ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--rule);
  font-variant-numeric: tabular-nums; }
th { color: var(--dim); font-weight: 500; }
.verdicts { min-width: 680px; table-layout: fixed; }
.verdicts th:first-child { width: 20%; } .verdicts th:last-child { width: 18%; }
details { margin-top: 8px; } dd details { margin: 0; }
summary { cursor: pointer; color: var(--dim); font-size: .86rem; }
.lineage { list-style: none; margin: 0; padding: 0; }
.lineage > li { border-left: 2px solid var(--rule); padding: 0 0 16px 18px; margin-left: 6px;
  position: relative; }
.lineage > li:last-child { padding-bottom: 0; }
.lineage > li::before { content: ""; position: absolute; left: -7px; top: 5px; width: 10px; height: 10px;
  border-radius: 50%; background: var(--after); border: 1px solid var(--card); }
.document { white-space: pre-wrap; border: 1px solid var(--rule); border-radius: 6px; padding: 10px 12px;
  max-height: 320px; overflow: auto; }
.chart { display: block; width: 100%; max-width: 560px; height: auto; margin: 0 auto; }
.chart text { font: 11.5px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif;
  fill: var(--dim); }
.chart text.head { fill: var(--ink); font-weight: 600; }
.chart rect.before { fill: var(--before); } .chart rect.after { fill: var(--after); }
.chart rect.track { fill: var(--track); }
.chart .axis { stroke: var(--dim); stroke-width: 1; } .chart .grid { stroke: var(--rule); stroke-width: 1; }
.chart .neutral { stroke: var(--dim); stroke-width: 1; stroke-dasharray: 3 3; }
.chart .whisker { stroke: var(--after); stroke-width: 2; }
.chart .dot, .chart .hit { fill: var(--after); }
.chart .hit { opacity: 0; } .chart .hit:hover { opacity: 1; }
.chart .curve { fill: none; stroke: var(--after); stroke-width: 1.6; stroke-linejoin: round; }
footer { grid-column: 1 / -1; color: var(--dim); }
@media (max-width: 760px) {
  main { grid-template-columns: minmax(0, 1fr); padding: 10px 8px 32px; gap: 10px; }
  section { padding: 14px; } h1 { font-size: 1.3rem; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; } dd { margin: 0 0 7px; } dt { max-width: none; }
}
"""
