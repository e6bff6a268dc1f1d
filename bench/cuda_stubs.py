"""Lets the Linux x86-64 torch wheel load on a machine without the GPU libraries it links.

The wheel names a dozen GPU libraries as load-time dependencies, about 3 GB in all, and calls none of them on the CPU.
For each one this writes a shared object that exports the same symbol names, every one returning an error code. The two
libraries whose code runs while torch loads (the CUDA runtime and CUPTI, 12 MB) are installed for real and are found
first, so they get no stub. The CPU kernels, which are what is measured, are untouched.

    python cuda_stubs.py        (inside the environment that holds torch; needs readelf and gcc)
"""

import importlib.util
import pathlib
import re
import subprocess

REAL = ("libcudart", "libcupti")
VENDOR_LIBRARY = re.compile(r"lib(cu|nv|nccl)")
VENDOR_SYMBOL = re.compile(r"(cu[A-Z]|cu[a-z]+[A-Z]|nccl|nvrtc|cungqr_|cunmqr_)")


def readelf(flag, path):
    return subprocess.run(["readelf", "-W", flag, path], capture_output=True, text=True, check=True).stdout


def main():
    lib = pathlib.Path(importlib.util.find_spec("torch").origin).parent / "lib"
    if not (lib / "libtorch_cuda.so").exists():
        return  # A CPU build needs none of this.
    needed, symbols = set(), {}
    for shared_object in lib.glob("*.so"):
        for name in re.findall(r"NEEDED.*\[(.*)\]", readelf("-d", shared_object)):
            if VENDOR_LIBRARY.match(name) and not name.startswith(REAL):
                needed.add(name)
        for symbol, version in re.findall(r" UND (\w+)(?:@(\S+))?", readelf("--dyn-syms", shared_object)):
            symbols.setdefault(version, set()).add(symbol)
    unversioned = {s for s in symbols.get("", ()) if VENDOR_SYMBOL.match(s)}
    script = lib / "stub.map"
    for name in sorted(needed):
        exports = symbols.get(name, unversioned)
        source = "".join(f"int {symbol}(void) {{ return 1; }}\n" for symbol in sorted(exports))
        command = ["gcc", "-shared", "-w", "-fno-builtin", "-x", "c", "-", "-o", lib / name, f"-Wl,-soname,{name}"]
        if name in symbols:
            script.write_text(f"{name} {{ *; }};\n")
            command.append(f"-Wl,--version-script={script}")
        subprocess.run(command, input=source, text=True, check=True)
    script.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
