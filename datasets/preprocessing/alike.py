"""Groups of files that are equal or look alike."""

from collections import defaultdict

from datasets.preprocessing.selection import Files


def groups_of_alike(files: Files, *, near: bool) -> list[list[int]]:
    """The files still there in groups of two and more with the same bytes, or with `near` the same look.

    Groups and their members are in the order of the files. What looks alike is told by the fingerprints.
    """
    places = files.indices()
    root: dict[int, int] = {}

    def find(place: int) -> int:
        while (above := root.get(place, place)) != place:
            root[place] = root.get(above, above)
            place = above
        return place

    by_content: dict[str, int] = {}
    for place in places:
        first = by_content.setdefault(files.sha256s[place], place)
        if first != place:
            root[place] = find(first)
    if near:
        from datasets.inspection.duplicates import near_groups

        for group in near_groups([files.fingerprints[place] for place in places]):
            for member in group[1:]:
                one, other = find(places[group[0]]), find(places[member])
                root[max(one, other)] = min(one, other)
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for place in places:
        groups[find(place)].append(place)
    return [group for group in groups.values() if len(group) > 1]
