"""A whole network: LeNet-5, layer by layer."""

import httpx

from examples.learn.service import run

ARCHITECTURES = "/v1/architectures"


def main(service: httpx.Client) -> dict[str, httpx.Response]:
    presets = service.get("/v1/catalog/presets")
    lenet = next(preset for preset in presets.json()["data"] if preset["name"] == "lenet-5")
    return {
        "summary": service.post(f"{ARCHITECTURES}/summary", json=lenet["architecture"]),
        "diagram": service.post(
            f"{ARCHITECTURES}/diagram",
            json=lenet["architecture"],
            headers={"Accept": "image/svg+xml"},
        ),
    }


if __name__ == "__main__":
    run(main)
