"""Schedules that authors published: where each file lies, how long it is, its hash, its licence.

A frozen table of addresses; the files are not shipped, because many have no licence, and
`caching.fetch` brings one when somebody asks for it. Every address names one commit, so that what
is fetched is what was read here, and the hash proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from urllib.parse import quote

from caching.errors import RequestError

HOST = "https://raw.githubusercontent.com"
NO_LICENCE = "no licence file: its authors keep all rights"
APACHE = "Apache-2.0"


@dataclass(frozen=True)
class AuthorsFile:
    """One published file.

    Attributes:
        name: the word it is asked for by.
        method: by its name in the registry.
        title: what a person reads.
        repository: owner/name on GitHub.
        commit: forty hexadecimal digits.
        path: inside the repository.
        size: in bytes.
        sha256: of the file, hexadecimal.
        licence: in words.
        steps: S that it is for.
        blocks: L that it is for; None where it is for any number of blocks.
        note: what else to know before fetching it, one sentence or nothing.
    """

    name: str
    method: str
    title: str
    repository: str
    commit: str
    path: str
    size: int
    sha256: str
    licence: str
    steps: int
    blocks: int | None = None
    note: str = ""

    @property
    def address(self) -> str:
        """Where the file is fetched from."""
        return f"{HOST}/{self.repository}/{self.commit}/{quote(self.path)}"

    @property
    def page(self) -> str:
        """The repository, for people."""
        return f"https://github.com/{self.repository}"

    @property
    def filename(self) -> str:
        """What the file is called once it is here."""
        return self.name + PurePosixPath(self.path).suffix

    @property
    def fits_words(self) -> str:
        """For which models it is."""
        return "any number of blocks" if self.blocks is None else f"{self.blocks} blocks"


def file_of(name: object) -> AuthorsFile:
    """The file of a name; raises RequestError when there is none."""
    if not isinstance(name, str) or name not in FILES:
        raise RequestError(
            f"the file {name!r:.40} is not known, expected one of: {', '.join(FILES)}."
        )
    return FILES[name]


def _l2c() -> tuple[AuthorsFile, ...]:
    where = "horseee/learning-to-cache", "d6cc7817842e1353b8d902af263bab030b8478da"
    return (
        AuthorsFile(
            "l2c-20", "l2c", "L2C router, 20 steps", *where,
            "DiT/ckpt/DDIM20_router.pt", 24_064,
            "c3134cfe7a69e31f188ac3d8ace7f6b586db92daa30c99f17e46d3f24e7408c7",
            NO_LICENCE, 20, 28,
        ),
        AuthorsFile(
            "l2c-50", "l2c", "L2C router, 50 steps", *where,
            "DiT/ckpt/DDIM50_router.pt", 58_744,
            "fd83c172f77ad71f8695d5972497d1a4d113119e0e0415861812ca8eea9f60b2",
            NO_LICENCE, 50, 28,
        ),
    )  # fmt: skip


def _ebcache() -> tuple[AuthorsFile, ...]:
    return (
        AuthorsFile(
            "ebcache-50", "ebcache", "EB-Cache table, 50 steps", "aSleepyTree/EB-Cache",
            "eeca502075b555a4c18859207843b7f4573abfaa", "cache_table.npy", 528,
            "a7b50a45d80fdeb24245492687735d19abd0c4654a3b279c9c49298c44c78888",
            NO_LICENCE, 50, None, "Made for DDPM.",
        ),
    )  # fmt: skip


def _ecad() -> tuple[AuthorsFile, ...]:
    folder = "schedules/schedules_in_paper"
    rows = (
        ("ecad-fast", "PixArt-α, fast", "pixart_alpha_256/ours_fast.json", 85_479,
         "764b9ebe093f31f2b11fafdf9002ac412577c14a4ad920cd401d3dfceea1e7b0"),
        ("ecad-faster", "PixArt-α, faster", "pixart_alpha_256/ours_faster.json", 85_668,
         "3b7647810430537b0ff9af7d726cdc99397913e2dbe9e925f9b4e93bac1cf48b"),
        ("ecad-fastest", "PixArt-α, fastest", "pixart_alpha_256/ours_fastest.json", 85_740,
         "858fe255f55f4bfce31e101fa1900c1deb18407248ba7e66292b5f446330d62a"),
        ("ecad-sigma-fast", "PixArt-Σ, fast", "pixart_sigma_256/ours_fast.json", 85_540,
         "119b54d8a4c8865f96f01df448206edab4a606702904cc2bd5a56d48d7812506"),
    )  # fmt: skip
    return tuple(
        AuthorsFile(
            name, "ecad", f"ECAD, {title}", "AniAggarwal/ecad",
            "a2f0534d926eae2733e87ce0f4ff63f9f3930b97", f"{folder}/{path}", size, sha256,
            NO_LICENCE, 20, 28, "Searched for a text-to-image model: a shape to try, no result.",
        )
        for name, title, path, size, sha256 in rows
    )  # fmt: skip


def _invardiff() -> tuple[AuthorsFile, ...]:
    rows = (
        ("invardiff-0.61", "0.61", "stp50_n0.0_sth0.61_msa0.2_mlp0.2", 39_525,
         "c443fc2e4946430d8d2d24945bb47e42df3a9947d2bb4078ffc749a4e239ad82"),
        ("invardiff-0.63", "0.63", "stp50_n0.0_sth0.63_msa0.22_mlp0.22", 36_347,
         "3a85f6044dae7322f7f9a11a8962a3b679fa947866425457912ba029f2bc1596"),
    )  # fmt: skip
    return tuple(
        AuthorsFile(
            name, "invardiff", f"InvarDiff books, {at}", "zihaowu25/InvarDiff",
            "560db97db05ff17e03537f0d71bc27d3ead5d799", f"DiT/cache_books/cache_books_{path}.json",
            size, sha256, APACHE, 50, 28,
        )
        for name, at, path, size, sha256 in rows
    )  # fmt: skip


def _smoothcache() -> tuple[AuthorsFile, ...]:
    rows = (
        ("30-N-2-fora", "30, FORA", 30, 201,
         "cd3c7be8f212ded31cb21b472ea7adf9c36dbff18cd6008c6ac40ce543521fb7"),
        ("30-N-3-threshold-0.35", "30, α 0.35", 30, 202,
         "553cb6774c4d949d9bca145c4becfab1cf8dcd2e7bfaab81b4546d5dfbf18a52"),
        ("50-N-2-fora", "50, FORA", 50, 321,
         "984bd930936fc39c02ac47a99b7a752d836df77d1c07869875ad2ffdb6f90b3a"),
        ("50-N-2-l2c", "50, L2C", 50, 9_080,
         "963f210d0fe4e1abe271f05b533a81c3a0a9157ff37597e83e4610930604aa59"),
        ("50-N-3-threshold-0.08", "50, α 0.08", 50, 321,
         "e157a6dbfa642000ffd8bce5071353b1543395d2ed722d2db181744fed53d0b2"),
        ("50-N-3-threshold-0.18", "50, α 0.18", 50, 322,
         "f70ef1f613bc1174383931331753e80ae7f1015a8fc5e20d1e99c2428851e672"),
        ("70-N-2-fora", "70, FORA", 70, 442,
         "848d438d27ee596f4b85be6dacfe22250f183372bd16bf18c2e2ba8ac1eda53c"),
        ("70-N-3-threshold-0.08", "70, α 0.08", 70, 441,
         "9a18abf4bff273879c0a3b0aef32b21731df18f6258668ff97621f29711e9e65"),
        ("diffuser_schedule", "diffusers", 50, 119,
         "43c459aab161ff2cdaa5a8bcf9e5960b4001404f5631039be022ff5374fe89bb"),
    )  # fmt: skip
    return tuple(
        AuthorsFile(
            f"smoothcache-{name}", "smoothcache", f"SmoothCache {title}", "Roblox/SmoothCache",
            "edeb4edff2a7e100364cdc4ab1ee6dca45aeaa40", f"smoothcache_schedules/{name}.json",
            size, sha256, APACHE, steps, 28 if name.endswith("l2c") else None,
        )
        for name, title, steps, size, sha256 in rows
    )  # fmt: skip


FILES: Mapping[str, AuthorsFile] = MappingProxyType(
    {f.name: f for f in (*_l2c(), *_ebcache(), *_ecad(), *_invardiff(), *_smoothcache())}
)
