"""Renders what brings the input and what sends the output, over HTTP and S3."""

from __future__ import annotations

import re

from dsq.core.quoting import assignments, join
from dsq.sbatch.model import HTTPData, S3Data, TransportData, Workflow
from dsq.sbatch.render.templating import fill

WILDCARDS = re.compile(r"[*?]")
"""Signs that s5cmd takes for patterns."""

HURRY_SECONDS = 8
"""Time for the output of a job that was told to end. With the steps' patience it stays below
Slurm's default KillWait of 30 s."""


def render_input(workflow: Workflow) -> str:
    """Renders what fills ``$DEEPSQUARE_INPUT``; "" without an input."""
    data = workflow.input
    if data is None or (data.http is None and data.s3 is None):
        return ""
    checksum = (data.http or data.s3).checksum  # type: ignore[union-attr]
    parts = [_both(data, "input")]
    if checksum is not None:
        parts.append(fill("verify.sh"))
        checksum = checksum.removeprefix("sha256:")
    if data.http is not None:
        parts.append(fill("input_http.sh", url=data.http.url, checksum=checksum))
    elif data.s3 is not None:
        parts.append(_s3_input(data.s3, checksum))
    return "\n".join(part for part in parts if part)


def render_output(workflow: Workflow) -> str:
    """Renders the functions that send ``$DEEPSQUARE_OUTPUT``; "" without an output."""
    data = workflow.output
    if data is None or (data.http is None and data.s3 is None):
        return ""
    continuous = bool(workflow.continuous_output_sync)
    if data.http is not None:
        transfer = _http_output(data.http)
    else:
        assert data.s3 is not None
        transfer = _s3_output(data.s3, continuous=continuous)
    parts = [_both(data, "output")]
    if continuous and data.http is not None:
        parts.append(
            "echo 'continuousOutputSync needs S3; the output is sent once, at the end.' >&2"
        )
    parts.append(fill("output.sh", transfer=transfer, hurry=HURRY_SECONDS))
    if continuous and data.http is None:
        parts.append("_dsq_sync_output &\n_dsq_sync=$!")
    return "\n".join(part for part in parts if part)


def _both(data: TransportData, name: str) -> str:
    if data.http is None or data.s3 is None:
        return ""
    return f"echo 'The {name} has both http and s3; http is used.' >&2"


def _http_output(http: HTTPData) -> str:
    return fill(
        "output_http.sh",
        config=_curl_config(http.url),
        failed_config=_curl_config(_failed_url(http.url)),
    )


def _curl_config(url: str) -> str:
    text = url.replace("\\", "\\\\").replace('"', '\\"')
    return f'url = "{text}"\n'


def _failed_url(url: str) -> str:
    """Where the output of a failed job goes: never to the place of a good one.

    To an address that ends in ``/`` curl adds the file's name, which tells enough.
    """
    place, query, rest = re.fullmatch(r"([^?#]*)([?#]?)(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr]
    return url if place.endswith("/") else f"{place}.failed{query}{rest}"


def _credentials(s3: S3Data) -> list[str]:
    keys = {
        "AWS_ACCESS_KEY_ID": s3.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
        "S3_ENDPOINT_URL": s3.endpoint_url,
    }
    return [f"export {assignments(keys)}", "unset AWS_SESSION_TOKEN AWS_PROFILE"]


def _flags(s3: S3Data) -> str:
    """s5cmd's global flags; without keys requests are not signed, as public buckets want it."""
    unsigned = not s3.access_key_id and not s3.secret_access_key
    return join(["--log", "error", *(["--no-sign-request"] if unsigned else [])])


def _s3_input(s3: S3Data, checksum: str | None) -> str:
    region = [f"--source-region={s3.region}"] if s3.region else []
    place = s3.bucket_url + s3.path
    into = place.rpartition("/")[2]
    single = not WILDCARDS.search(place) and into not in ("", ".", "..")
    below = "" if WILDCARDS.search(place) else "/*" if single else "*"
    return fill(
        "input_s3.sh",
        credentials=_credentials(s3),
        flags=_flags(s3),
        object=join([*region, "--raw", place]) if single else "",
        source=join([*region, place + below]),
        into=f"{into}/",
        checksum=checksum,
    )


def _s3_output(s3: S3Data, *, continuous: bool) -> str:
    region = [f"--destination-region={s3.region}"] if s3.region else []
    place = s3.bucket_url + s3.path
    target = place if place.endswith("/") else f"{place}/"
    bucket_itself = not target.removeprefix("s3://").rstrip("/").count("/")
    failed = f"{target}failed/" if bucket_itself else f"{target.rstrip('/')}.failed/"
    return fill(
        "output_s3.sh",
        credentials=_credentials(s3),
        flags=_flags(s3),
        sync=join(["sync", *(["--delete"] if s3.delete_sync else []), *region]),
        copy=join(["sync", *region]),
        mark=join(["cp", *region]),
        target=target,
        # What was brought there all the time lies there already.
        failed_place=target if continuous else failed,
        failed_mark=f"{failed}FAILED",
        continuous=continuous,
    )
