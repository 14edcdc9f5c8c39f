"""`python -m presets.train`: render, train autoencoder, classifier and DiT, export and evaluate.

Every stage resumes from what is on disk in --work; `--stage evaluate` alone prints the bar.
"""

import argparse
import sys
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, DiTTransformer2DModel

from caching.measure.classifier import SceneClassifier
from caching.measure.timing import device_name
from presets.train import autoencoder, card, classifier, data, dit, evaluate, export

SHIPPED_FOLDER = Path(__file__).resolve().parents[1] / "model"
STAGES = ("all", "data", "autoencoder", "dit", "export", "evaluate")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m presets.train", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("train-work"), help="checkpoints, data")
    parser.add_argument(
        "--out", type=Path, default=SHIPPED_FOLDER, help="where the model is written"
    )
    parser.add_argument("--stage", choices=STAGES, default="all", help="stop after this stage")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch chooses")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--autoencoder-steps", type=int, default=3200)
    parser.add_argument("--classifier-steps", type=int, default=900)
    parser.add_argument("--dit-steps", type=int, default=4000)
    parser.add_argument("--compile", action="store_true", help="torch.compile the DiT")
    parser.add_argument(
        "--from-shipped",
        action="store_true",
        help="train what is in --out further, in an empty --work; 0 steps leave a part as it is",
    )
    parser.add_argument("--samples", type=int, default=1000, help="for the evaluation")
    parser.add_argument("--guidance", type=float, default=2.0)
    return parser.parse_args()


def _shipped(args: argparse.Namespace) -> tuple[AutoencoderTiny, DiTTransformer2DModel]:
    """The autoencoder and transformer that ship, in float32."""
    vae = AutoencoderTiny.from_pretrained(args.out / "vae").to(args.device)
    transformer = DiTTransformer2DModel.from_pretrained(
        args.out / "transformer", dtype=torch.float32
    )
    return vae.eval(), transformer


def main() -> None:
    args = _arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    done = args.stage
    if done != "evaluate":
        images, labels = data.training_set(args.work, processes=args.threads or 4)
        if done == "data":
            return
        shipped_vae, initial = _shipped(args) if args.from_shipped else (None, None)
        vae = autoencoder.train(
            images,
            args.work,
            steps=args.autoencoder_steps,
            seed=args.seed,
            device=args.device,
            initial=shipped_vae,
        )
        if done == "autoencoder":
            return
        latents = torch.cat([autoencoder.encode(vae, x) for x in (images, images.flip(-1))])
        transformer = dit.train(
            latents,
            labels.repeat(2),
            args.work,
            steps=args.dit_steps,
            seed=args.seed,
            device=args.device,
            compiled=args.compile,
            initial=initial,
        )
        if done == "dit":
            return
        judge = (
            # One judge for the model before and after, so that their figures can be compared.
            SceneClassifier.load(args.out / "classifier")
            if args.from_shipped
            else classifier.train(
                images,
                labels,
                args.work,
                steps=args.classifier_steps,
                seed=args.seed,
                device=args.device,
            )
        )
        export.export(args.out, transformer.cpu(), vae.cpu(), judge.cpu())
        made = card.Making(
            pictures=len(images),
            vae_steps=args.autoencoder_steps,
            vae_batch=autoencoder.BATCH,
            dit_steps=args.dit_steps,
            dit_batch=dit.BATCH,
            classifier_steps=args.classifier_steps,
            machine=device_name(torch.device(args.device)),
        )
        card.write_making(args.out, made)
        if done == "export":
            return
    result = evaluate.evaluate(
        args.out, samples=args.samples, steps=50, cfg_scale=args.guidance, batch=20
    )
    evaluate.write(result, args.out)
    card.write_card(args.out, result, size_mib=export.size_mib(args.out))
    sys.stdout.write(evaluate.table(result) + "\n")
    sys.stdout.write(f"weights {export.size_mib(args.out):.1f} MiB, bar 64 MiB\n")


if __name__ == "__main__":
    main()
