"""What makes two copies of a job differ."""

from dataclasses import fields, replace

from headrace.core.job import Job
from headrace.stores.adopting import Belongings


def job_differences(source: Job, target: Job) -> list[str]:
    """The names of the fields in which the copies differ.

    Seq is each store's own. Revisions grow with what each store writes; what they tell is who is waited on.
    """
    found = [
        one.name
        for one in fields(source.facts)
        if getattr(source.facts, one.name) != getattr(target.facts, one.name)
    ]
    found += [
        one.name
        for one in fields(source.placement)
        if getattr(source.placement, one.name) != getattr(target.placement, one.name)
    ]
    found += [
        name
        for name in ("fence", "progress", "checkpoint", "timed_out_at", "waited_on")
        if getattr(source, name) != getattr(target, name)
    ]
    return list(dict.fromkeys(found))


def belongings_differences(job: Job, source: Belongings, target: Belongings) -> list[str]:
    """The names of the belongings in which the copies differ.

    The parents of a job that has ended may have stayed behind: nobody waits for them any more.
    """
    found = [
        name
        for name in ("trail", "steps", "signals", "lines")
        if getattr(source, name) != getattr(target, name)
    ]
    if _edges(job, source) != _edges(job, target):
        found.append("edges")
    return found


def _edges(job: Job, owned: Belongings) -> tuple[object, ...]:
    if job.placement.live:
        return owned.edges
    return tuple(replace(edge, parent="") for edge in owned.edges)
