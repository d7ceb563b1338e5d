"""Diverse documents: of many texts the one nearest to each of N centres (LongForm, arXiv 2304.08460, section 3.1).

The paper embeds with BERT and does not say how it clusters; here it is k-means over what `Embedding` gives.
"""
