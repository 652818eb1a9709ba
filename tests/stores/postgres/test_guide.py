"""The guide's SQL does what the guide says."""

import re
from pathlib import Path
from uuid import uuid4

import pytest

from headrace.errors import StoreUnusable
from headrace.stores.open import open_store
from tests.builders import a_job, claim, enqueue, settle

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guides" / "postgres.md"
ROLES, POOLED, WATCHED = re.findall(r"^```sql\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


async def test_roles_of_the_guide_are_enough(empty_url, run_script, run_sql):
    mark = uuid4().hex[:8]
    owner, program = f"headrace_owner_{mark}", f"headrace_app_{mark}"
    named = [
        sql.replace("headrace_owner", owner).replace("headrace_app", program)
        for sql in (ROLES, POOLED, WATCHED)
    ]
    as_owner, as_program = (re.sub(r"//[^@]*@", f"//{role}@", empty_url) for role in (owner, program))
    try:
        run_script(empty_url, named[0])
        run_script(empty_url, named[1])
        with pytest.raises(StoreUnusable, match="run `headrace migrate` as one that may"):
            await (await open_store(as_program)).migrate()
        store = await open_store(as_owner)
        number = await store.migrate()
        await store.close()

        store = await open_store(as_program)
        assert await store.migrate() == number
        await enqueue(store, a_job())
        (job,) = await claim(store)
        await settle(store, job)
        await store.set_paused("default", "default", paused=True)
        health = await store.check()
        await store.close()
        run_script(empty_url, named[2])
    finally:
        run_script(empty_url, f"drop owned by {program}, {owner} cascade; drop role {program}, {owner}")

    assert [said for said in health.warnings if not said.startswith("fsync")] == []
    assert run_sql(empty_url, "select 1 from pg_namespace where nspname = 'headrace'") == []
