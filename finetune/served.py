"""What the classifiers share: a model folder that training wrote or that was loaded, saved whole and run."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from retrieval.model_folder import ModelError, new_folder, read_manifest
from retrieval.onnx_model import OnnxModel

Self = TypeVar("Self", bound="ServedClassifier")


class ServedClassifier:
    """A classifier that speaks through an exported model: right after training as well as after loading."""

    kind: ClassVar[str]  # of model, as the manifest names it
    _folder: Path

    def __init__(self) -> None:
        self._model: OnnxModel | None = None

    def save(self, folder: Path | str) -> None:
        """Write the model to a folder, whole or not at all.

        Raises:
            ModelError: the classifier is neither fitted nor loaded.
            OSError: the disk is full or cannot be written to.
        """
        self._served()
        with new_folder(Path(folder)) as draft:
            shutil.copytree(self._folder, draft, dirs_exist_ok=True)

    @classmethod
    def load(cls: type[Self], folder: Path | str) -> Self:
        """Return the classifier in a folder.

        Raises:
            ModelError: the folder is missing, incomplete or altered, or holds another kind of model.
        """
        manifest = read_manifest(Path(folder))
        if manifest.get("kind") != cls.kind:
            raise ModelError(f"{folder} does not hold an {cls.kind} classifier. Train one: rapport train {cls.kind}")
        classifier = cls()
        classifier._use(Path(folder), manifest)
        return classifier

    @property
    def manifest(self) -> dict[str, Any]:
        """What is known about the model: thresholds, calibration, hashes, settings, figures on what was held out."""
        return self._served().manifest

    def _use(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Serve the model in a folder from now on."""
        raise NotImplementedError

    def _served(self) -> OnnxModel:
        if self._model is None:
            raise ModelError("The classifier is neither fitted nor loaded. Call fit(...) or load(folder).")
        return self._model

    def _scratch(self) -> Path:
        """Return a place for a model folder that lives as long as this classifier."""
        scratch = tempfile.mkdtemp(prefix="rapport-")
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        return Path(scratch) / self.kind
