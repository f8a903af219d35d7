"""Models: one class per topology, built from the layers of ``nn/``, with a loss.

All tensors are time first.  Models do not depend on data files or training.
"""

from elman.models.classifier import Classifier
from elman.models.feed_forward import BagOfWords, WindowTagger
from elman.models.generator import Generator
from elman.models.language_model import LanguageModel
from elman.models.standard import StandardClassifier, StandardTagger
from elman.models.tagger import Tagger, WordFeatures
from elman.models.transcriber import Transcriber
from elman.models.transducer import Transducer
from elman.models.translator import Translator

__all__ = [
    "BagOfWords",
    "Classifier",
    "Generator",
    "LanguageModel",
    "StandardClassifier",
    "StandardTagger",
    "Tagger",
    "Transcriber",
    "Transducer",
    "Translator",
    "WindowTagger",
    "WordFeatures",
]
