"""What the built-in handlers have in common: results as JSON clients read them, checked texts."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Camel(BaseModel):
    """A value that is kept and shown in camelCase: ``email_id`` as ``emailId``."""

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class Result(Camel):
    """A handler's result."""

    success: Literal[True] = True


_FILE_ID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"


def _file_id(text: str) -> str:
    if re.fullmatch(_FILE_ID.removesuffix("$"), text) is None:
        msg = "not the id of a stored file; `headrace files put` prints one"
        raise ValueError(msg)
    return text


FileId = Annotated[
    str,
    Field(description="The id of a stored file", json_schema_extra={"pattern": _FILE_ID}),
    AfterValidator(_file_id),
]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
