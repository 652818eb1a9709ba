"""An app whose child processes read the encrypted results of their parents."""

from headrace import App, Context, Settings
from headrace.encryption import Encrypted

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

app = App("sqlite://", settings=Settings(), codec=Encrypted([KEY], results=("secret",)))


@app.job()
async def secret(n: int) -> dict[str, int]:
    return {"n": n}


@app.job(runs="process")
def apart(ctx: Context) -> list[object]:
    parents = ctx.parents().wait(30)
    typed = parents.of(secret)
    ctx.enqueue(secret.request(7), after=[ctx.job.id]).wait(30)
    return [ctx.results().wait(30), typed, [one.type for one in parents]]
