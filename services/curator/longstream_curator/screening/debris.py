"""What is left of a page's machinery in a text: tags, entities, templates, scripts. Code between fences is meant so."""

from __future__ import annotations

import re

_FENCED = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_INLINE = re.compile(r"`[^`\n]+`")
_DEBRIS = re.compile(
    r"""</?[a-z][a-z0-9]{0,15}(?:\s[^<>]{0,500})?/?>   # a tag of HTML
      | &(?:\#x?[0-9a-f]{1,6}|[a-z]{2,8});             # an entity
      | \{\{[^{}]{0,500}\}\} | \[\[(?:File|Image|Category):[^\[\]]{0,300}\]\]   # MediaWiki's templates and files
      | \{%[^{}%]{0,300}%\}                            # templates of pages
      | (?:^|\s)(?:function\s*\([^()]{0,100}\)\s*\{|window\.|document\.)[^\n]{0,300}""",
    re.IGNORECASE | re.VERBOSE,
)
_MOST = 0.1


def is_debris(text: str) -> bool:
    """Whether a tenth of the text or more, outside fences, is machinery."""
    outside = _INLINE.sub("", _FENCED.sub("", text))
    found = sum(len(match.group()) for match in _DEBRIS.finditer(outside))
    return found > _MOST * max(1, len(text))
