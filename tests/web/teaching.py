"""What tests of the view Teach do on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

Open = Callable[..., "Page"]
TAUGHT_MS = 240_000
"""How long a run may take, on a machine that has better things to do."""

DROP = """async ([count, every]) => {
  const transfer = new DataTransfer();
  const canvas = new OffscreenCanvas(16, 16);
  const context = canvas.getContext("2d");
  for (let number = 0; number < count; number += 1) {
    // every so manieth is one that was there before
    const shade = every && number % every === every - 1 ? 0 : number;
    context.fillStyle = `rgb(${shade % 256} ${shade >> 8} 90)`;
    context.fillRect(0, 0, 16, 16);
    transfer.items.add(new File([await canvas.convertToBlob()], `${number}.png`, { type: "image/png" }));
  }
  transfer.items.add(new File(["no picture"], "broken.png", { type: "image/png" }));
  return transfer;
}"""

PASTED = """async (shade) => {
  const transfer = new DataTransfer();
  const canvas = new OffscreenCanvas(16, 16);
  const context = canvas.getContext("2d");
  context.fillStyle = `rgb(0 0 ${shade})`;
  context.fillRect(0, 0, 16, 16);
  transfer.items.add(new File([await canvas.convertToBlob()], "image.png", { type: "image/png" }));
  return transfer;
}"""


def teach_page(open_page: Open, server: str, **options: Any) -> Page:
    page = open_page(f"{server}/#/teach", **options)
    page.locator(".column").first.wait_for()
    return page


def column(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=f"Class {name}", exact=True)


def choose_folder(page: Page, folder: Path) -> None:
    page.locator("input[webkitdirectory]").first.set_input_files(folder)


def wait_until_taught(page: Page) -> None:
    page.locator(".say").wait_for(timeout=TAUGHT_MS)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)
