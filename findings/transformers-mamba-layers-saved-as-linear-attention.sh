#!/usr/bin/env bash
# transformers 5.24.0 saves Mamba layers under the name of linear attention.
# A config of Granite 4, Bamba or Nemotron-H that names its layers "mamba" is read and saved again: layer_types then
# says "linear_attention", as it does for the gated DeltaNet layers of Qwen3-Next. Only the mamba_* (or ssm_*) keys beside
# it tell which mixer a layer has, and with it how large its state is.
# Seen with transformers 5.24.0: granitemoehybrid ['linear_attention', 'full_attention']
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "transformers==5.24.0"
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" <<'PY'
import json
import sys
from pathlib import Path

import transformers

folder = Path(sys.argv[1])
config = transformers.AutoConfig.for_model("granitemoehybrid", num_hidden_layers=2, layer_types=["mamba", "attention"])
config.save_pretrained(folder)
saved = json.loads((folder / "config.json").read_text())
print("transformers", transformers.__version__, saved["model_type"], saved["layer_types"])
print("keys that tell a Mamba layer:", sorted(key for key in saved if key.startswith("mamba_"))[:3])
if saved["layer_types"] != ["linear_attention", "full_attention"]:
    sys.exit("the behaviour has changed")
PY
