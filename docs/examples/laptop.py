"""Pre-train without labels, train a detector with few, and look: on a synthetic world, in a few minutes."""

import avjepa


def main(scenes: int = 30, steps: int = 200) -> float:
    """Mean average precision on the scenes that nobody trained on."""
    world = avjepa.synth("world", scenes=scenes, keyframes=4, image_width=224, val_fraction=0.34)
    report = avjepa.inspect(world, version="v1.0-synth", fast=True)
    print(f"{report['scenes']} scenes, {report['keyframes']} keyframes")

    options = {"version": "v1.0-synth", "steps": steps, "data.workers": 0}
    pretrained = avjepa.pretrain("lidar_tiny", world, "runs/pretrained", **options)
    detector = avjepa.finetune("lidar_tiny", world, "runs/detector", bundle=pretrained.backbone, **options)
    avjepa.view(world, "found.png", version="v1.0-synth", split="val",
                predictions="runs/detector/evaluation/val/predictions.json")  # fmt: skip

    score = detector.metrics("val")["mean_ap"]
    print(f"mAP {100 * score:.1f} on the split val; found.png shows a keyframe of it")
    return score


if __name__ == "__main__":
    main()
