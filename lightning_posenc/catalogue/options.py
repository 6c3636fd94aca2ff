"""What the commands that list classes are given alike."""

from lightning_posenc.catalogue.discovery import OURS
from lightning_posenc.mistakes.arguments import OneLineParser


def listing_parser(command: str, description: str, markdown: str) -> OneLineParser:
    """A parser of modules, sizes and the form of the list.

    Args:
        command: Its name.
        description: What it lists.
        markdown: Where its Markdown stands.
    """
    parser = OneLineParser(command, description=description)
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", default=[OURS],
        help="where the classes are defined: modules or packages, named as Python imports them "
        f"from here ({OURS})",
    )  # fmt: skip
    parser.add_argument("--d_model", type=int, default=256, help="width (256)")
    parser.add_argument("--n_heads", type=int, default=4, help="heads (4)")
    parser.add_argument("--markdown", action="store_true", help=f"print Markdown, as in {markdown}")
    return parser
