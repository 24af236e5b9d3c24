"""Actions on models: what there is, whom `auto` would ask, loading and unloading."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkplug.actions.action import Action, ActionResult, Argument
from sparkplug.schema.plain import plain

if TYPE_CHECKING:
    from sparkplug.client.session import Client

_DAY_S = 86400.0
_MODEL = Argument("model", "text", "name of the model", required=True)
_HOST = Argument("host", "host", "on this host", flag="--host")


async def _show(client: Client) -> ActionResult:
    from sparkplug.client import model_texts as texts
    from sparkplug.client import models as room
    from sparkplug.schema.errors import NotFoundError

    views = await room.list_models(client)
    parts = [texts.models_text(views)]
    data: dict[str, Any] = {"models": [plain(view) for view in views]}
    try:
        found = await room.explain(client)
        parts.append(texts.route_text(found, "auto"))
        data["auto"] = [choice.model.name for choice in found.choices]
        used = room.add_up(await room.read_calls(client, _DAY_S), "model")
        parts.append("in the last day\n" + texts.usage_text(used, "model"))
        data["usage"] = [plain(one) for one in used]
    except NotFoundError as error:
        parts.append(str(error))
    return ActionResult("models", data, changed=False, text="\n\n".join(parts) + "\n")


async def _explain(
    client: Client,
    wanted: str,
    *,
    host: str | None = None,
    needs: list[str] | None = None,
    context: int = 0,
) -> ActionResult:
    from sparkplug.client import models as room
    from sparkplug.client.model_texts import route_text
    from sparkplug.schema.errors import InvalidError

    known = ("tools", "json", "vision")
    wrong = [need for need in needs or () if need not in known]
    if wrong:
        raise InvalidError(f"no ability {wrong[0]}", hint=f"one of {', '.join(known)}")
    if context < 0:
        raise InvalidError("--tokens is not below zero")
    found = await room.explain(
        client,
        wanted,
        abilities=needs or (),  # type: ignore[arg-type]
        context=context,
        host=host,
    )
    text = route_text(found, wanted)
    first = found.choices[0].model.name if found.choices else None
    return ActionResult(
        f"{wanted}: {first or 'nobody'}",
        plain(found),
        changed=False,
        text=text + "\n",
        exit_code=0 if found.choices else 1,
    )


async def _load(client: Client, model: str, *, host: str | None = None) -> ActionResult:
    from sparkplug.client import models as room

    view = await room.load(client, model, host)
    text = f"{model}: loaded on {view.host}, {view.device} as {view.dtype}"
    return ActionResult(text, plain(view))


async def _unload(client: Client, model: str, *, host: str | None = None) -> ActionResult:
    from sparkplug.client import models as room

    ended = await room.unload(client, model, host)
    text = "unloaded" if ended else "nothing changed, it was not loaded"
    return ActionResult(f"{model}: {text}", {"model": model, "changed": ended}, changed=ended)


MODEL_ACTIONS: tuple[Action, ...] = (
    Action(
        id="models.show",
        title="Show models",
        help="all models, whom `auto` asks, and what was used in the last day",
        verb=("models", "show"),
        writes=False,
        run=_show,
        preview=lambda **_: (
            "would show models, the choice of auto, and what was used in the last day"
        ),
    ),
    Action(
        id="models.explain",
        title="Explain the choice of a model",
        help="whom an agent would ask, and why",
        verb=("models", "explain"),
        writes=False,
        arguments=(
            Argument("wanted", "text", "name of a model, or auto", required=True),
            _HOST,
            Argument(
                "needs",
                "text",
                "what the model has to be able to do: tools, json, vision",
                flag="--needs",
                repeated=True,
            ),
            Argument(
                "context", "integer", "tokens of the conversation", default=0, flag="--tokens"
            ),
        ),
        run=_explain,
        preview=lambda wanted, **_: f"would explain whom {wanted} asks",
    ),
    Action(
        id="models.load",
        title="Load a local model",
        help="have a local model's process started",
        verb=("models", "load"),
        arguments=(_MODEL, _HOST),
        run=_load,
        preview=lambda model, **_: f"would load {model}",
    ),
    Action(
        id="models.unload",
        title="Unload a local model",
        help="end a local model's process; the next call starts it again",
        verb=("models", "unload"),
        arguments=(_MODEL, _HOST),
        run=_unload,
        preview=lambda model, **_: f"would unload {model}",
    ),
)
