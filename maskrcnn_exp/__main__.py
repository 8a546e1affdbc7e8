"""`python -m maskrcnn_exp`."""

from maskrcnn_exp.cli import main

if __name__ == "__main__":
    main()
