"""Which API a server answers: Cachet 3's, or Cachet 2's, asked in that order."""

from __future__ import annotations

from .errors import CachetError, Challenged, NotCachet, NotFound, NotOffered, Refused, Unreachable
from .http.api import API_2, API_3, Api
from .http.client import Answer, CachetClient
from .settings import CachetSettings


async def detect_api(client: CachetClient, settings: CachetSettings) -> tuple[Api, Answer, bool]:
    """Return the API, the answer that told it, and whether that answer is Cachet 3's version.

    Raises:
        Refused: The API is protected and there is no token, or not one that it accepts.
        NotCachet: Neither API answers.
        Unreachable: Nothing answers.
    """
    wanted = settings.api_version
    failed: CachetError | None = None
    lacking = False
    # The last one is for a Cachet 3 whose version alone cannot be read, which is then its own failure.
    for api, path in ((API_3, "version"), (API_2, "ping"), (API_3, "ping")):
        if wanted not in ("auto", str(api.version)) or (api is API_3 and lacking):
            continue
        try:
            answer = await client.get(path, endpoint="versions", api=api, attempts=1 if failed else None)
            data = answer.document.get("data") if isinstance(answer.document, dict) else None
            if path == "version" and isinstance(data, dict) and "version" in data:
                return api, answer, True
            if path == "ping" and data == "Pong!":
                return api, answer, False
        except (Refused, Challenged):
            raise
        except CachetError as error:
            failed = failed or error
            lacking = lacking or (api is API_3 and isinstance(error, (NotFound, NotOffered)))
    raise _unknown(settings, failed)


def _unknown(settings: CachetSettings, failed: CachetError | None) -> CachetError:
    """Return why neither API was found, in words that say what to set."""
    if isinstance(failed, Unreachable):
        return failed
    tried = {"3": "Cachet 3 (/api/version)", "2": "Cachet 2 (/api/v1/ping)"}
    asked = tried.get(settings.api_version, " or ".join(tried.values()))
    sentence = f"{settings.base_url} does not answer as {asked}"
    if isinstance(failed, NotCachet):
        return NotCachet(f"{sentence}: {failed.what}", failed.remedy)
    if isinstance(failed, NotFound) and "switched off" in failed.what:
        return NotCachet(f"{sentence}: its API is switched off", "Enable the API in Cachet's settings.")
    auto = "" if settings.api_version == "auto" else ", or {api_version} to auto"
    return NotCachet(sentence, f"Set {{base_url}} to the status page's address{auto}.")
