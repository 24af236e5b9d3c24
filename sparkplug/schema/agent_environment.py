"""The environment of an agent's processes: what of its node's it inherits, and what is its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sparkplug.schema.agent_spec import AgentSpec

#: What of the daemon's environment agents inherit. Everything else is the daemon's own.
_INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)

#: Libraries that would call home read these when they are imported. An agent's own `env`
#: can say otherwise.
_CALL_NOBODY = {
    "ANONYMIZED_TELEMETRY": "False",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "LANGCHAIN_TRACING_V2": "false",
    # Of what is stored only what a graph's state names is made into objects.
    "LANGGRAPH_STRICT_MSGPACK": "true",
    "LANGSMITH_TRACING": "false",
    "MEM0_TELEMETRY": "False",
    "ORT_DISABLE_TELEMETRY": "1",
}


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What the processes of a node whose environment this is are given."""
    kept = {
        name: value
        for name, value in environ.items()
        if name in _INHERITED or name.startswith(("CUDA_", "NCCL_"))
    }
    return kept | _CALL_NOBODY


def own(spec: AgentSpec, environ: Mapping[str, str], gpus: Sequence[str]) -> dict[str, str]:
    """What a replica is given besides: what its file says and names, and its GPUs.

    What it names and `environ` lacks is left out.
    """
    passed = {name: environ[name] for name in spec.pass_env if name in environ}
    given = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if spec.resources.gpus else {}
    return passed | spec.env | given
