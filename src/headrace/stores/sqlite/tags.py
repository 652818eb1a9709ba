"""The index of tags: kept beside the tags in a job's body."""

import json

import apsw

from headrace.stores.sqlite.statements import first, queries, write, write_rows

_SQL = queries("jobs")


def add_tags(db: apsw.Connection, namespace: str, seq: int, tags: tuple[str, ...]) -> None:
    """Makes a job findable by its tags."""
    write_rows(db, _SQL["insert_tag"], [(namespace, tag, seq) for tag in tags])


def remove_tags(db: apsw.Connection, namespace: str, seq: int) -> None:
    """Forgets the tags that a job's body names; before the body is changed."""
    (tags,) = first(db, _SQL["tags_of"], {"seq": seq}) or (None,)
    for tag in () if tags is None else json.loads(tags):
        write(db, _SQL["delete_tags"], {"namespace": namespace, "tag": tag, "seq": seq})
