"""Decision trees from a file, looked at before they are asked.

A tree is a list of nodes that name their children and their feature by number, and scikit-learn follows these numbers
in C without looking. A file can hold trees of the right types whose numbers point anywhere: asked, they read foreign
memory, crash the process or never end (the warning of skops about `Tree` and `TreePredictor`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree._tree import Tree

from ssc.errors import DataError

Ints = NDArray[np.int64]


def check_trees(estimator: Any) -> None:
    """Every tree inside an estimator points to nodes and features that exist, and each path through it ends.

    Raises:
        DataError: One that does not, or one that does not hang where scikit-learn keeps its trees.
    """
    seen: dict[int, Any] = {}  # the objects too, for an id may be used again once its object is gone
    owned: dict[int, Any] = {}
    waiting = [estimator]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen[id(one)] = one
        if isinstance(one, (Tree, TreePredictor)) and id(one) not in owned:
            raise DataError(f"a {type(one).__name__} outside of an estimator of trees")
        for tree, columns in _trees(one):
            owned[id(tree)] = tree
            (_check_tree if isinstance(tree, Tree) else _check_predictor)(tree, columns)
        waiting.extend(_parts(one))


def _trees(owner: Any) -> Iterator[tuple[Any, int]]:
    """The trees that an estimator asks itself, with the number of columns it lets pass."""
    columns = getattr(owner, "n_features_in_", 0)
    if isinstance(getattr(owner, "tree_", None), Tree):
        yield owner.tree_, columns
    for member in _flat(getattr(owner, "estimators_", ())):
        # A forest hands its table to each tree as it is, checked against the first one only
        if hasattr(member, "tree_") and member.n_features_in_ != columns:
            raise DataError(f"a tree for {member.n_features_in_} columns in an ensemble for {columns}")
    for member in _flat(getattr(owner, "_predictors", ())):
        if isinstance(member, TreePredictor):
            yield member, columns


def _check_tree(tree: Any, columns: int) -> None:
    left, right = tree.children_left.astype(int), tree.children_right.astype(int)
    if tree.n_features != columns:
        raise DataError(f"a tree for {tree.n_features} columns in an estimator for {columns}")
    _check_nodes(left, right, tree.feature.astype(int), left == -1, columns)


def _check_predictor(tree: Any, columns: int) -> None:
    nodes = tree.nodes
    if nodes["is_categorical"].any():
        raise DataError("a boosted tree with categories, wanted numbers alone")
    left, right, feature = (nodes[name].astype(np.int64) for name in ("left", "right", "feature_idx"))
    _check_nodes(left, right, feature, nodes["is_leaf"].astype(bool), columns)


def _check_nodes(left: Ints, right: Ints, feature: Ints, leaf: NDArray[np.bool_], columns: int) -> None:
    at = np.arange(len(left))
    ahead = (left > at) & (left < len(at)) & (right > at) & (right < len(at))  # ahead, so no path comes back
    if not len(at) or not np.all(leaf | (ahead & (feature >= 0) & (feature < columns))):
        raise DataError(f"a tree that points beyond its {len(at)} nodes or {columns} columns, or back")


def _parts(one: Any) -> Iterable[Any]:
    """What an object holds: members, items, attributes."""
    if isinstance(one, Mapping):
        return one.values()
    if isinstance(one, (list, tuple, set)) or (isinstance(one, np.ndarray) and one.dtype == object):
        return _flat(one)
    slots = [getattr(one, field.name) for field in fields(one)] if is_dataclass(one) else []
    return [*slots, *getattr(one, "__dict__", {}).values()]


def _flat(values: Any) -> Iterator[Any]:
    if isinstance(values, (list, tuple, set, np.ndarray)):
        for value in values:
            yield from _flat(value)
    else:
        yield values
