#!/usr/bin/env bash
# Makes the Python environment of the peers: bench/setup.sh VENV_DIR
# Safe to repeat: it does nothing when the environment already matches requirements.txt. Needs Python 3.11 or newer
# (PYTHON names another than python3) and, on Linux x86-64, gcc and binutils. About 2.8 GB on disk.
set -euo pipefail

venv=${1:?usage: bench/setup.sh VENV_DIR}
here=$(cd "$(dirname "$0")" && pwd)
want=$(cat "$here/requirements.txt" "$here/cuda_stubs.py" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$venv/.bench-ready" 2>/dev/null || true)" = "$want" ]; then
  echo "$venv is up to date" >&2
  exit 0
fi

[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --no-deps --requirement "$here/requirements.txt"
if [ "$(uname -sm)" = "Linux x86_64" ]; then
  "$venv/bin/python" "$here/cuda_stubs.py"
fi
# The import is the proof; only then is the environment marked as ready.
HF_HUB_OFFLINE=1 "$venv/bin/python" -c "
import torch, sentence_transformers, qdrant_client, pypdf, onnxruntime, tokenizers, reportlab
import llama_index.core, llama_index.readers.file, llama_index.embeddings.huggingface, llama_index.vector_stores.qdrant
print('torch', torch.__version__, '| llama-index', llama_index.core.__version__, '| onnxruntime', onnxruntime.__version__)
"
echo "$want" >"$venv/.bench-ready"
