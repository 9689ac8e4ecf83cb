"""What files is told by the environment, beside what every process is told."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from services.runtime.settings import Settings


class FilesSettings(Settings):
    """Where content lies and where it is taken and given, and for how long files stay."""

    public_url: str = Field(
        default="http://127.0.0.1:8080", description="where clients reach the edge; it stands in the URLs of files"
    )
    http_listen: str = Field(default="127.0.0.1:0", description="host:port of files' HTTP listener")
    blob_dir: Path = Field(default=Path("blobs"), description="the folder of files' content, unless there is a bucket")
    s3_bucket: str = Field(default="", description="the bucket of files' content; empty for a folder")
    s3_endpoint: str = Field(default="", description="URL of the server that speaks S3; empty for Amazon's own")
    s3_public_endpoint: str = Field(default="", description="its URL as clients reach it, if that is another one")
    s3_region: str = Field(default="us-east-1", description="the bucket's region")
    s3_access_key_id: str = Field(default="", description="the key's id; empty for what the machine is given")
    s3_secret_access_key: SecretStr = Field(default=SecretStr(""), description="the key's secret")
    s3_virtual_hosts: bool = Field(default=False, description="the bucket's name stands in the host, not in the path")
    file_url_lifetime_seconds: float = Field(default=3600.0, ge=1, description="how long a file's URLs work")
    file_unattached_seconds: float = Field(
        default=86_400.0, gt=0, description="how long a file stays that no message refers to"
    )
    file_collect_interval_seconds: float = Field(default=60.0, gt=0, description="between looks for such files")
    file_stall_seconds: float = Field(
        default=30.0, gt=0, description="how long an upload or a download may stand still"
    )

    @property
    def file_unattached_for(self) -> timedelta:
        """How long a file stays that no message refers to."""
        return timedelta(seconds=self.file_unattached_seconds)
