#!/usr/bin/env bash
# Pre-trains a radar encoder in two stages (SALT, 2509.24317): one reconstructs for a quarter of 400 steps and is frozen;
# another predicts its embeddings for the rest. Writes still/SEED.
#   tools/still_target.sh DATA VERSION SEED
set -euo pipefail
data=$1 version=$2 seed=$3
common=(--data "$data" --version "$version" --seed "$seed" --data.workers 0
  --model.objective.init_args.encoder configs/encoder/radar_coarse.yaml
  --model.objective.init_args.masks.init_args.sides '[3.2, 6.4]')
avjepa pretrain radar_tiny "${common[@]}" --steps 100 --out "still/$seed-target" \
  --model.objective.class_path avjepa.pretrain.objectives.occupancy.OccupancyReconstruction
avjepa pretrain radar_tiny "${common[@]}" --steps 300 --out "still/$seed" \
  --model.objective.init_args.target.class_path avjepa.pretrain.objectives.targets.FrozenTargetOptions \
  --model.objective.init_args.target.init_args.encoder.class_path avjepa.encoders.bundled.load_encoder \
  --model.objective.init_args.target.init_args.encoder.init_args.directory "still/$seed-target/backbone"
