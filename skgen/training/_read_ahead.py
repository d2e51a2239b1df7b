"""Reading ahead: the next part of a table is read while the present one is used."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from skgen.nn._threads import compute_with_one_thread

T = TypeVar("T")
_END: Any = object()


def read_ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Iterate over items of which the next is made in a thread meanwhile.

    At most one item is made ahead, with one thread of torch. The thread ends with the
    iteration, also where that is left early. An error in making an item is raised where
    that item would come.

    Parameters
    ----------
    items : iterator
        What makes the items. It is advanced by the thread alone.

    Yields
    ------
    item : object
        The items, in their order.
    """
    with ThreadPoolExecutor(
        1, thread_name_prefix="skgen-read-ahead", initializer=compute_with_one_thread
    ) as thread:
        coming = thread.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = thread.submit(next, items, _END)
            yield item
