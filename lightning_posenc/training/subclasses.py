"""Which classes of a kind have been defined so far?"""


def subclasses(base: type) -> list[type]:
    """All below a class, each once: its own subclasses, then theirs, and so on."""
    found: dict[type, None] = {base: None}
    walked = [base]
    for kind in walked:  # grows while it is walked
        below: list[type] = type.__subclasses__(kind)
        walked += [each for each in below if each not in found]
        found.update(dict.fromkeys(below))
    return walked[1:]
