"""Write deploy/observability: `python -m tools.observability`."""

from __future__ import annotations

from tools.observability.files import generated


def main() -> None:
    """Write every generated file."""
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
