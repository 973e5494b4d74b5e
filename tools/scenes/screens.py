"""Rows of text on a screen: pages that change, and what happens on a page that stays."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from scenes.case import Case
from scenes.effects import luma
from scenes.material import Material, fit
from scenes.shots import Shots
from scenes.text import MONOSPACED, Style, code, document, lyrics, pointed, slide, subtitled

__all__ = ["builds", "codes", "credits", "lyric_lines", "pages", "scrolls", "sideways", "slides", "subtitles"]

type Bytes = NDArray[np.uint8]

SIZE = (640, 360)
COUNT = 40  # cases of either kind


def _luma(frames: list[Bytes]) -> Bytes:
    return np.rint(luma(np.stack(frames))).astype(np.uint8)


def _changed(left: Bytes, right: Bytes) -> list[Bytes]:
    return [left] * 4 + [right] * 3


def _pointing(page: Bytes, rng: np.random.Generator) -> list[Bytes]:
    """The pointer crosses the page by 5 to 60 pixels a frame."""
    angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(5, 60)
    x, y = rng.uniform(0.3, 0.7) * page.shape[1], rng.uniform(0.3, 0.7) * page.shape[0]
    scale = rng.uniform(0.8, 1.6)
    steps = (np.arange(7) - 3.5) * speed
    return [pointed(page, x + np.cos(angle) * s, y + np.sin(angle) * s, scale) for s in steps]


def _blinking(page: Bytes, style: Style, x: float, y: float) -> list[Bytes]:
    image = Image.fromarray(page)
    ImageDraw.Draw(image).rectangle((x, y, x + max(1, style.size // 8), y + style.size), fill=style.ink)
    return _changed(page, np.asarray(image))


def _header(style: Style, words: str) -> Callable[[Bytes], Bytes]:
    """A bar with a title that stays while pages change."""

    def headed(page: Bytes) -> Bytes:
        image = Image.fromarray(page)
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 0, image.width, style.step + 4), fill=style.accent)
        draw.text((12, 2), words, font=style.font, fill=(255, 255, 255))
        return np.asarray(image)

    return headed


def pages(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """2 to 25 lines of text; others follow at once. Not: a pointer, a cursor, a word that is typed."""
    for number in range(2 * COUNT):
        style = Style.drawn(rng, (11, 20) if rng.random() < 0.7 else (20, 40))
        count = min(int(rng.choice([2, 3, 5, 8, 12, 18, 25])), int(SIZE[1] * 0.86) // style.step)
        width = style.columns(SIZE[0] * 7 // 8) // int(rng.choice([1, 1, 2]))
        bar = _header(style, material.words(rng, 4)) if rng.random() < 0.4 else (lambda page: page)
        top = style.step * 2 if rng.random() < 0.8 else SIZE[1] // 3
        left, right = (bar(document(SIZE, style, material.lines(rng, count, width), top)) for _ in range(2))
        name = f"{count} lines of {style.face} {style.size}"
        if number < COUNT:
            yield Case(name=name, cut=True, frames=_luma(_changed(left, right)))
        elif number % 3 == 0:
            yield Case(name=f"pointer over {name}", cut=False, frames=_luma(_pointing(left, rng)))
        elif number % 3 == 1:
            x, y = rng.uniform(0.1, 0.8) * SIZE[0], top + style.step * int(rng.integers(count))
            yield Case(name=f"cursor in {name}", cut=False, frames=_luma(_blinking(left, style, x, y)))
        else:
            yield Case(
                name=f"typed in {name}", cut=False, frames=_luma(_typed(material, rng, style, count, width, top))
            )


def _typed(material: Material, rng: np.random.Generator, style: Style, count: int, width: int, top: int) -> list[Bytes]:
    """A word, or a letter, comes to the last line in every frame."""
    lines = material.lines(rng, count - 1, width)
    words = material.words(rng, 8).split()
    if rng.random() < 0.5:
        said = [" ".join(words[: k + 1])[:width] for k in range(7)]
    else:
        said = [" ".join(words)[: k + 4] for k in range(7)]
    return [document(SIZE, style, [*lines, line], top) for line in said]


def slides(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """The next slide under the same bars and logo. Not: a pointer, a picture that plays in a slide."""
    shots = Shots(material, rng)
    moving = shots.moving(COUNT // 2)
    for number in range(2 * COUNT):
        style = Style.drawn(rng, (14, 22))
        logo = _logo(material, rng) if rng.random() < 0.6 else None
        counts = [int(n) for n in rng.integers(2, 6, 2)]
        pictured = [bool(p) for p in rng.random(2) < 0.35]
        made = [
            slide(SIZE, style, material, rng, logo=logo, bullets=n, picture=p)
            for n, p in zip(counts, pictured, strict=True)
        ]
        name = f"slides, {style.face} {style.size}"
        if number < COUNT:
            yield Case(name=name, cut=True, frames=np.stack(_changed(*made)))
        elif number % 2:
            yield Case(name=f"pointer, {name}", cut=False, frames=np.stack(_pointing(made[0], rng)))
        else:
            window = moving[(number - COUNT) // 2]
            w, h = SIZE[0] // 3, SIZE[1] // 2
            y, x = SIZE[1] // 3, SIZE[0] - w - 30
            frames = np.stack([made[0]] * 7)
            frames[:, y : y + h, x : x + w] = window.frames((w, h))
            yield Case(name=f"{window.name} played in {name}", cut=False, frames=frames)


def _logo(material: Material, rng: np.random.Generator) -> Image.Image:
    sprite = material.sprites[rng.integers(len(material.sprites))].copy()
    sprite.thumbnail((70, 50))
    return sprite


def builds(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """A bullet comes to a slide."""
    for _ in range(COUNT):
        style, logo = Style.drawn(rng, (14, 22)), _logo(material, rng)
        bullets, picture = int(rng.integers(3, 6)), bool(rng.random() < 0.3)
        shown, seed = int(rng.integers(1, bullets)), int(rng.integers(1 << 30))
        made = [
            slide(
                SIZE,
                style,
                material,
                np.random.default_rng(seed),
                logo=logo,
                bullets=bullets,
                picture=picture,
                shown=shown + k,
            )
            for k in range(2)
        ]
        name = f"bullet {shown + 1} of {bullets}, {style.face} {style.size}"
        yield Case(name=name, cut=False, frames=np.stack(_changed(*made)))


def _ground(rng: np.random.Generator, style: Style) -> Bytes:
    """Plain, or a gradient to a related colour."""
    plain = np.array(style.ground, np.float64)
    share = np.linspace(0, 1, SIZE[1])[:, None, None] if rng.random() < 0.5 else np.zeros((SIZE[1], 1, 1))
    other = plain * 0.6 + np.array(style.accent) * 0.4
    graded = np.broadcast_to(plain * (1 - share) + other * share, (SIZE[1], SIZE[0], 3))
    return np.rint(graded).astype(np.uint8)


def lyric_lines(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """1 to 4 large lines in the middle that others replace. Not: the words are coloured as they are sung; they rise."""
    for number in range(2 * COUNT):
        style = Style.drawn(rng, (26, 44))
        count, ground = int(rng.integers(1, 5)), _ground(rng, style)
        width = style.columns(SIZE[0] * 9 // 10)
        texts = [material.lines(rng, count, min(width, int(rng.integers(14, 34)))) for _ in range(2)]
        name = f"{count} lines of {style.face} {style.size}"
        if number < COUNT:
            frames = _changed(*(lyrics(ground, style, text) for text in texts))
        elif number % 2:
            name = f"sung, {name}"
            start, pace = rng.uniform(0, 0.5), rng.uniform(0.01, 0.06)
            frames = [lyrics(ground, style, texts[0], start + pace * k) for k in range(7)]
        else:
            speed = int(rng.integers(2, 12))
            name = f"rising {speed}, {name}"
            frames = [lyrics(ground, style, texts[0], down=speed * (3 - k)) for k in range(7)]
        yield Case(name=name, cut=number < COUNT, frames=np.stack(frames))


def codes(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """Another file in the editor. Not: a cursor, a line that is typed, a pointer, a line down."""
    for number in range(2 * COUNT):
        style = Style.drawn(rng, (10, 16), MONOSPACED)
        files = [material.programs[i] for i in rng.choice(len(material.programs), 2, replace=False)]
        starts = [int(rng.integers(len(f) - 60)) for f in files]
        count = min(int(rng.choice([8, 15, 24, 30])), (SIZE[1] - 16) // style.step)
        name = f"{count} lines of {style.face} {style.size}"

        def view(which: int, down: int = 0, files=files, starts=starts, count=count, style=style) -> Bytes:  # type: ignore[no-untyped-def]
            first = starts[which] + down
            return code(SIZE, style, files[which][first : first + count], first + 1)

        if number < COUNT:
            frames = _changed(view(0), view(1))
        elif number % 4 == 0:
            frames = _pointing(view(0), rng)
        elif number % 4 == 1:
            frames = _blinking(view(0), style, rng.uniform(60, 400), 8 + style.step * int(rng.integers(count)))
        elif number % 4 == 2:
            lines = files[0][starts[0] : starts[0] + count]
            at, text = int(rng.integers(count)), files[1][starts[1] + 3] or "return None"
            frames = [
                code(SIZE, style, [*lines[:at], text[: 6 + 2 * k], *lines[at + 1 :]], starts[0] + 1) for k in range(7)
            ]
        else:
            frames = [view(0, down=k // 4) for k in range(7)]  # by one line, at once
        yield Case(name=name, cut=number < COUNT, frames=_luma(frames))


def _strip(material: Material, rng: np.random.Generator, style: Style, height: int, width: int = SIZE[0]) -> Bytes:
    """A tall page, with a picture here and there."""
    count = height // style.step
    page = document((width, height), style, material.lines(rng, count, style.columns(min(width, SIZE[0]) * 7 // 8)), 0)
    if rng.random() < 0.4:
        photo = fit(material.photos[rng.integers(len(material.photos))], (200, 130))
        page = page.copy()
        y = int(rng.integers(0, height - 130))
        page[y : y + 130, width // 2 : width // 2 + 200] = photo
    return page


def scrolls(speed: int) -> Callable[[Material, np.random.Generator], Iterator[Case]]:
    """Pages that scroll by so many pixels a frame; cuts: to another page, which scrolls as well."""

    def made(material: Material, rng: np.random.Generator) -> Iterator[Case]:
        for number in range(COUNT):
            style = Style.drawn(rng, (11, 24))
            height, up = SIZE[1] + 7 * speed, bool(rng.random() < 0.3)
            strips = [_strip(material, rng, style, height) for _ in range(2)]
            cut = number < COUNT // 2
            bar = _header(style, material.words(rng, 4)) if rng.random() < 0.4 else (lambda page: page)
            frames = []
            for k in range(7):
                y = (6 - k if up else k) * speed
                frames.append(bar(strips[1 if cut and k > 3 else 0][y : y + SIZE[1]]))
            yield Case(name=f"{style.face} {style.size}, {speed} px", cut=cut, frames=_luma(frames))

    return made


def sideways(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """Pages that move sideways by 3 to 40 pixels a frame; cuts as for scrolling."""
    for number in range(2 * COUNT):
        style, speed = Style.drawn(rng, (11, 24)), int(rng.choice([3, 8, 20, 40]))
        width = SIZE[0] + 7 * speed
        strips = [np.concatenate([_strip(material, rng, style, SIZE[1]) for _ in range(2)], 1) for _ in range(2)]
        cut = number < COUNT
        way = int(rng.choice([-1, 1]))
        xs = [(k if way > 0 else 6 - k) * speed for k in range(7)]
        frames = [strips[1 if cut and k > 3 else 0][:, x : x + SIZE[0]] for k, x in enumerate(xs)]
        assert width <= strips[0].shape[1]
        yield Case(name=f"{style.face} {style.size}, {way * speed} px", cut=cut, frames=_luma(frames))


def credits(material: Material, rng: np.random.Generator) -> Iterator[Case]:  # noqa: A001
    """Names roll up over black or a picture by 1 to 6 pixels a frame. Cuts: to a scene, or from one."""
    shots = Shots(material, rng)
    scenes = shots.moving(2 * COUNT)
    for number in range(2 * COUNT):
        speed, cut = int(rng.integers(1, 7)), number < COUNT
        style = replace(Style.drawn(rng, (12, 22)), ground=(0, 0, 0), ink=(235, 235, 235))
        names = [w.title() for w in material.words(rng, 200).split() if w.isalpha()]
        lines = [" ".join(names[2 * i : 2 * i + 2]) if i % 5 else "" for i in range(len(names) // 2)]
        tall = np.zeros((SIZE[1] + 7 * speed, SIZE[0], 3), np.uint8)
        rolled = lyrics(tall, style, lines[: len(tall) // style.step])
        frames = np.stack([rolled[k * speed : k * speed + SIZE[1]] for k in range(7)])
        if cut:
            scene = scenes[number].frames(SIZE)
            if scene[4].mean(-1).std() < 12:  # black before and after would be no cut
                continue
            part = slice(4, 7) if rng.random() < 0.5 else slice(0, 4)
            frames[part] = scene[part]
        elif rng.random() < 0.3:
            photo = fit(material.photos[rng.integers(len(material.photos))], SIZE)
            frames = np.maximum(frames, (photo * 0.4).astype(np.uint8))
        yield Case(name=f"credits {speed} px, {style.size}", cut=cut, frames=frames)


def subtitles(material: Material, rng: np.random.Generator) -> Iterator[Case]:
    """A subtitle comes, goes or changes on a moving or still picture. Cuts: of clips, while one stays or changes."""
    shots = Shots(material, rng)
    windows = list(shots.both(COUNT, COUNT))
    for window in windows:
        frames = window.frames((480, 270))
        if not window.cut and rng.random() < 0.4:
            frames = np.stack([frames[3]] * 7)
        size, boxed = int(rng.integers(13, 26)), bool(rng.random() < 0.3)
        first, second = (material.lines(rng, int(rng.integers(1, 3)), 420 * 19 // (size * 11)) for _ in range(2))
        kind = rng.choice(
            ["stays", "comes", "goes", "changes"], p=[0.5, 0.1, 0.1, 0.3] if window.cut else [0, 0.3, 0.3, 0.4]
        )
        before = [] if kind == "comes" else first
        after = {"stays": first, "comes": first, "goes": [], "changes": second}[str(kind)]
        lined = [subtitled(f, before if k < 4 else after, size, boxed) for k, f in enumerate(frames)]
        yield Case(name=f"{window.name}, subtitle {kind}", cut=window.cut, frames=np.stack(lined))
