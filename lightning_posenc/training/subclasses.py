"""Which classes of a kind have been defined so far?"""


def subclasses(base: type) -> list[type]:
    """All below a class, each once: its own subclasses, then theirs, and so on."""
    found: dict[type, None] = dict.fromkeys(type.__subclasses__(base))
    walked = list(found)
    for kind in walked:  # grows while it is walked
        new = [each for each in type.__subclasses__(kind) if each not in found]
        found.update(dict.fromkeys(new))
        walked += new
    return walked
