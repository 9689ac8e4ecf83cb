"""A bucket that speaks S3: how it is reached, and the URLs at which it serves clients by itself.

obstore can't sign how long an upload must be, nor at another time than now, so AWS's own signer does: awscrt, which
brings nothing else along, takes 20 us for it, and finds the keys that a machine is given.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote, urlsplit

import obstore
from awscrt import auth
from awscrt.exceptions import AwsCrtError
from awscrt.http import HttpHeaders, HttpRequest
from obstore.store import S3Store

from services.files.content.urls import Window
from services.files.settings import FilesSettings

if TYPE_CHECKING:
    from obstore.store import S3Config, S3Credential


class Bucket:
    """One bucket, as the service reaches it and as clients do."""

    def __init__(self, settings: FilesSettings) -> None:
        self._region = settings.s3_region
        self._keys = _keys(settings)
        self.store = self._open(settings, settings.s3_endpoint)
        self._public = self._open(settings, settings.s3_public_endpoint or settings.s3_endpoint)

    async def download_url(self, key: str, window: Window, disposition: str) -> str:
        """Return a URL at which the bucket answers with a blob, with this disposition unless it is empty."""
        query = f"?response-content-disposition={quote(disposition, safe='')}" if disposition else ""
        # Signed as of the same time, a URL is the same.
        return await self._signed("GET", key, query, {}, window.begin_time, window.length)

    async def upload_url(self, key: str, size_bytes: int, lifetime: timedelta) -> str:
        """Return a URL at which the bucket takes a blob of exactly this size, and of no other."""
        headers = {"content-length": str(size_bytes)}
        return await self._signed("PUT", key, "", headers, datetime.now(UTC), lifetime)

    async def _signed(
        self,
        verb: "Literal['GET', 'PUT']",
        key: str,
        query: str,
        headers: Mapping[str, str],
        begin_time: datetime,
        lifetime: timedelta,
    ) -> str:
        # How the bucket is addressed is obstore's to know; the signature is made anew.
        address = urlsplit(await obstore.sign_async(self._public, verb, key, lifetime))
        signing = auth.AwsSigningConfig(
            algorithm=auth.AwsSigningAlgorithm.V4,
            signature_type=auth.AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS,
            credentials_provider=self._keys,
            region=self._region,
            service="s3",
            # The bucket compares it with its own clock.
            date=begin_time,
            use_double_uri_encode=False,
            should_normalize_uri_path=False,
            signed_body_value=auth.AwsSignedBodyValue.UNSIGNED_PAYLOAD,
            expiration_in_seconds=int(lifetime.total_seconds()),
        )
        request = HttpRequest(verb, address.path + query, HttpHeaders([("host", address.netloc), *headers.items()]))
        signed = await _answer(auth.aws_sign_request(request, signing))
        return f"{address.scheme}://{address.netloc}{signed.path}"

    async def _credential(self) -> "S3Credential":
        keys = await _answer(self._keys.get_credentials())
        return {
            "access_key_id": keys.access_key_id,
            "secret_access_key": keys.secret_access_key,
            "token": keys.session_token,
            "expires_at": keys.expiration,
        }

    def _open(self, settings: FilesSettings, endpoint: str) -> S3Store:
        config: dict[str, Any] = {
            "region": settings.s3_region,
            "virtual_hosted_style_request": settings.s3_virtual_hosts,
            **({"endpoint": endpoint} if endpoint else {}),
        }
        return S3Store(
            settings.s3_bucket,
            config=cast("S3Config", config),
            client_options={"allow_http": endpoint.startswith("http://"), "connect_timeout": "3s", "timeout": "60s"},
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=10)},
            credential_provider=self._credential,
        )


def _keys(settings: FilesSettings) -> auth.AwsCredentialsProvider:
    """Return where keys come from: the settings, else the machine's environment, profile or role."""
    if settings.s3_access_key_id:
        secret = settings.s3_secret_access_key.get_secret_value()
        return auth.AwsCredentialsProvider.new_static(settings.s3_access_key_id, secret)
    return auth.AwsCredentialsProvider.new_default_chain()


async def _answer(future: Any) -> Any:
    try:
        return await asyncio.wrap_future(future)
    except AwsCrtError as error:
        raise OSError(f"the keys of the bucket can't be had: {error.message}") from error
