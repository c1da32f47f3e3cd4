"""`python -m ssm.cli`."""

from ssm.cli.main import main

if __name__ == "__main__":
    main()
