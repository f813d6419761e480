"""Release cycles: backbones frozen under a version, heads trained on them release by release, one of them the champion.

A store is a folder of plain files, for git or any object store to hold::

    backbones/NAME/X.Y.Z/   config.json, model.safetensors, README.md, release.json, training.yaml
    releases/NAME/          release.json, heads/, config.yaml, provenance.json, metrics.csv, evaluation/
    aliases.json            which release is the champion, which the candidate, and what they were before

What is there is never changed, but for ``aliases.json`` and the evaluations of a release. A folder appears under its
name when all of it is there; whatever is killed leaves a hidden one, which the next writer takes up or removes.
"""

from avjepa.callable_room import make_callable

make_callable(__name__)
