"""The hubs that publish checkpoints, by way of huggingface_hub: what a repository has, and the bytes of a file."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, ClassVar, Literal
from urllib.parse import urlencode

from cosystream import __version__
from cosystream.errors import ConfigError

try:
    import httpx2
    from huggingface_hub import HfApi, constants, get_session, hf_hub_url, hf_raise_for_status
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # exported all the same
except ModuleNotFoundError as error:
    raise ConfigError(f"{error}; try: pip install -e '.[cosyvoice]'") from error
except ValueError as error:  # the library takes this variable apart as soon as it is imported
    raise ConfigError(f"HF_ENDPOINT: {error}") from error

constants.HF_HUB_DISABLE_TELEMETRY = True  # else it asks for a list of agents to detect, and keeps that under the home
TIMEOUT_SECONDS = 30.0
_HEADERS = {"user-agent": f"cosystream/{__version__}", "accept-encoding": "identity"}
"""No more about this machine than that, and bytes as they are: a range of compressed ones is another range."""


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository. ``digest`` is its SHA-256, the id that git gives it, or empty if the hub states none."""

    path: str
    size: int
    digest: str
    url: str


@dataclass(frozen=True)
class Hub(ABC):
    """A hub at ``endpoint``, asked with ``headers``, which hold the token if there is one."""

    name: ClassVar[str]
    endpoint_variable: ClassVar[str]
    token_variable: ClassVar[str]
    default_endpoint: ClassVar[str]
    without_token: ClassVar[Literal[False] | None]
    """What stands in for the variable: False is no token at all, None the one that ``hf auth login`` stored."""

    endpoint: str
    headers: dict[str, str]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Hub":
        """The hub where its own tools would find it."""
        endpoint = (environ.get(cls.endpoint_variable) or cls.default_endpoint).rstrip("/")
        if not endpoint.startswith(("https://", "http://")):
            raise ConfigError(f"{cls.endpoint_variable}: {endpoint!r} is no http address")
        token = environ.get(cls.token_variable) or cls.without_token
        return cls(endpoint, build_hf_headers(token=token, headers=_HEADERS))

    def files(self, repository: str) -> list[HubFile]:
        """All files of ``repository``."""
        with self._failures_in_words(repository):
            try:
                files = self._list(repository)
            except HFValidationError as error:
                raise ConfigError(str(error)) from None
            except (ValueError, KeyError, TypeError):
                raise ConfigError(f"{self.endpoint} does not answer as {self.name} does: is it a hub?") from None
        for path in (PurePosixPath(file.path) for file in files):
            if path.is_absolute() or ".." in path.parts or "\\" in str(path):
                raise ConfigError(f"{str(path)!r} lies outside of its repository: this hub is not to be trusted")
        return files

    def append_rest(self, file: HubFile, content: BinaryIO) -> None:
        """Go on with ``content``, opened for appending, to the end of ``file``. Shows progress on a terminal."""
        if (num_received := content.tell()) < file.size:
            with self._failures_in_words(file.path):
                http_get(
                    file.url, content, resume_size=num_received, headers=self.headers, displayed_filename=file.path
                )

    @abstractmethod
    def _list(self, repository: str) -> list[HubFile]: ...

    @contextmanager
    def _failures_in_words(self, what: str) -> Iterator[None]:
        try:
            yield
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status not in {401, 403, 404}:
                raise self._interrupted(f"it answered {status}") from None
            raise ConfigError(
                f"{self.name} answers {status} for {what}: there is no such repository or file, "
                f"or it is private and {self.token_variable} holds no key to it"
            ) from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._interrupted(str(error) or type(error).__name__) from None

    def _interrupted(self, reason: str) -> ConfigError:
        return ConfigError(f"{self.endpoint}: {reason}. What has arrived is kept: run this again to go on")


class HuggingFace(Hub):
    """https://huggingface.co, or a mirror in HF_ENDPOINT."""

    name = "Hugging Face"
    endpoint_variable, token_variable = "HF_ENDPOINT", "HF_TOKEN"
    default_endpoint = "https://huggingface.co"
    without_token = None

    def _list(self, repository: str) -> list[HubFile]:
        api = HfApi(endpoint=self.endpoint, token=False, headers=self.headers)
        info = api.model_info(repository, files_metadata=True, timeout=TIMEOUT_SECONDS)
        return [
            HubFile(
                path=file.rfilename,
                size=file.size or 0,
                digest=file.lfs.sha256 if file.lfs else file.blob_id or "",
                url=hf_hub_url(repository, file.rfilename, revision=info.sha, endpoint=self.endpoint),
            )
            for file in info.siblings or []
        ]


class ModelScope(Hub):
    """https://modelscope.cn, nearer to China."""

    name = "ModelScope"
    endpoint_variable, token_variable = "MODELSCOPE_ENDPOINT", "MODELSCOPE_API_TOKEN"
    default_endpoint = "https://modelscope.cn"
    without_token = False

    def _list(self, repository: str) -> list[HubFile]:
        base = f"{self.endpoint}/api/v1/models/{repository}/repo"
        query = {"Revision": "master", "Recursive": "True"}
        answer = get_session().get(f"{base}/files", params=query, headers=self.headers, timeout=TIMEOUT_SECONDS)
        hf_raise_for_status(answer)
        return [
            HubFile(
                path=file["Path"],
                size=file["Size"],
                digest=file.get("Sha256") or "",
                url=f"{base}?{urlencode({'Revision': 'master', 'FilePath': file['Path']})}",
            )
            for file in answer.json()["Data"]["Files"]
            if file["Type"] != "tree"
        ]


HUBS: dict[str, type[Hub]] = {"huggingface": HuggingFace, "modelscope": ModelScope}
