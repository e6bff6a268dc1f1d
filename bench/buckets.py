"""Reads the same buckets with Vellum and with boto3, and prints both: objects a second and peak memory.

    cargo build --release -p vellum-backends --example buckets
    target/tests/venv/bin/python bench/buckets.py target/release/examples/buckets

Two servers: moto (Python; slower than either reader) and s3s (Rust). Two buckets: 10,000 objects of 2 to 12 KB, and one
object of 1 GB. Eight objects at a time on both sides, `boto3` with threads; Vellum's large object goes to an unnamed file
as in an ingest, boto3's to a file by `download_file` (which reads ranges in parallel). Then a listing of 1,000,000
keys with Vellum alone. Figures are of one machine at one time: compare within a run.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.update(AWS_ACCESS_KEY_ID="testing", AWS_SECRET_ACCESS_KEY="testing", AWS_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true")
SMALL = int(os.environ.get("SMALL", 10_000))
LARGE = int(os.environ.get("LARGE", 1_000_000_000))


def client(endpoint: str):
    import boto3
    from botocore.config import Config

    config = Config(s3={"addressing_style": "path"}, max_pool_connections=16)
    return boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)


def fill(endpoint: str, folder: Path) -> None:
    s3 = client(endpoint)
    s3.create_bucket(Bucket="small")
    s3.create_bucket(Bucket="large")

    def put(n: int) -> None:
        body = (f"line {n} of a document\n" * 600)[: 2_000 + n * 7919 % 10_000]
        s3.put_object(Bucket="small", Key=f"docs/{n % 100:02}/{n:06}.txt", Body=body.encode())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(SMALL)))
    path = folder / "large"
    with path.open("wb") as file:
        file.truncate(LARGE)
    s3.upload_file(str(path), "large", "large.bin")
    path.unlink()


def peer(endpoint: str, bucket: str) -> None:
    """What boto3 does; runs in a process of its own."""
    s3 = client(endpoint)
    began = time.perf_counter()
    objects = total = 0
    keys = (o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket) for o in page.get("Contents", []))
    if bucket == "large":
        with tempfile.TemporaryDirectory() as folder:
            for key in keys:
                s3.download_file(bucket, key, f"{folder}/x")
                objects, total = objects + 1, total + os.path.getsize(f"{folder}/x")
    else:
        with ThreadPoolExecutor(8) as pool:
            for size in pool.map(lambda key: len(s3.get_object(Bucket=bucket, Key=key)["Body"].read()), keys):
                objects, total = objects + 1, total + size
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{objects} objects, {total} bytes, {seconds:.2f} s, {objects / seconds:.0f} objects/s, {total / seconds / 1e6:.0f} MB/s; MiB: {peak} at most")


def started(command: list[str], ready) -> tuple[subprocess.Popen, str]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return process, ready(process)


def main(program: str) -> None:
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "buckets").mkdir()

        def moto_ready(_) -> str:
            time.sleep(4)
            return "http://127.0.0.1:7931"

        moto = [str(Path(python).parent / "moto_server"), "-H", "127.0.0.1", "-p", "7931"]
        s3s = [program, "serve", str(root / "buckets")]
        first_line = lambda process: process.stdout.readline().strip()  # noqa: E731
        for name, command, ready in (("s3s", s3s, first_line), ("moto", moto, moto_ready)):
            server, endpoint = started(command, ready)
            try:
                fill(endpoint, root)
                for bucket in ("small", "large"):
                    for reader, line in (
                        ("vellum", [program, "read", endpoint, f"s3://{bucket}/"]),
                        ("boto3", [python, __file__, "--peer", endpoint, bucket]),
                    ):
                        done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "TMPDIR": folder})
                        print(f"{name:<5} {bucket:<6} {reader:<7} {done.stdout.strip() or done.stderr.strip()[-300:]}", flush=True)
            finally:
                server.kill()
        server, endpoint = started([program, "fake", "1000000"], first_line)
        try:
            print(subprocess.run([program, "list", endpoint, "s3://fake/"], capture_output=True, text=True).stdout)
        finally:
            server.kill()


if __name__ == "__main__":
    if sys.argv[1] == "--peer":
        peer(*sys.argv[2:])
    else:
        main(sys.argv[1])
