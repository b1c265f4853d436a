"""How much does each character of a novel hold its people together?

The graph of *Les Misérables* (networkx ships it) links characters that meet in a chapter. For each
one: how many pairs of others lose their shortest way without him or her?

    python examples/command/characters.py > characters.txt
    allcores run examples/command/characters.py:without characters.txt -o importance.csv
"""

from __future__ import annotations

from functools import cache
from typing import Any

import networkx


@cache
def novel() -> Any:
    """The graph, made once in each worker."""
    return networkx.les_miserables_graph()


def without(name: str) -> dict[str, Any]:
    """What the graph is without a character."""
    graph = novel()
    rest = graph.subgraph(each for each in graph if each != name)
    before = dict(networkx.all_pairs_shortest_path_length(graph))
    after = dict(networkx.all_pairs_shortest_path_length(rest))
    longer = sum(
        after[one].get(other, len(graph)) > before[one][other] for one in rest for other in rest
    )
    parts = networkx.number_connected_components(rest)
    return {"name": name, "meetings": graph.degree(name), "longer": longer // 2, "parts": parts}


if __name__ == "__main__":
    print("\n".join(novel()))
