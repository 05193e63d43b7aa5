"""Commands that have to succeed, and those that a build folder runs."""

import subprocess


def run(*command, **options):
    """What the command prints."""
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def commands_for(target, folder):
    return run("ninja", "-C", folder, "-t", "commands", target).splitlines()
