"""Keras configurations: every object that loading would build, however deeply it nests.

The same tree stands in `config.json` of a `.keras` archive, in attributes of a `.h5` file and in `model.to_json()`.
Scanners that look at the top-level layers miss the nested model, the wrapped layer, the loss and the initialiser;
here each dict and each list is walked.
"""

from __future__ import annotations

from typing import Any

from zt_gate.domain import Severity, printable
from zt_gate.scan.artifacts.format import Input

MODULES = ("keras", "tf_keras", "keras_core", "tensorflow.keras", "tensorflow.python.keras")
"""Packages whose modules, exactly or below them, hold the classes listed here."""

_LAYERS = """
Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average AveragePooling1D
AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D BatchNormalization Bidirectional CategoryEncoding
CenterCrop Concatenate Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D
ConvLSTM3D Convolution1D Convolution2D Convolution3D Cropping1D Cropping2D Cropping3D Dense DepthwiseConv1D
DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding Flatten GRU GRUCell GaussianDropout GaussianNoise
GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D
GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
GroupNormalization GroupQueryAttention HashedCrossing Hashing Identity InputLayer IntegerLookup LSTM LSTMCell
LayerNormalization LeakyReLU LocallyConnected1D LocallyConnected2D Masking MaxNumBoundingBoxes MaxPool1D MaxPool2D
MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MultiHeadAttention Multiply
Normalization PReLU Permute RMSNormalization RNN RandomBrightness RandomColorDegeneration RandomColorJitter
RandomContrast RandomCrop RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHeight RandomHue
RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear
RandomTranslation RandomWidth RandomZoom ReLU RepeatVector Rescaling Reshape Resizing SeparableConv1D SeparableConv2D
SeparableConvolution1D SeparableConvolution2D SimpleRNN SimpleRNNCell Softmax Solarization SpatialDropout1D
SpatialDropout2D SpatialDropout3D SpectralNormalization STFTSpectrogram StackedRNNCells StringLookup Subtract
TextVectorization ThresholdedReLU TimeDistributed UnitNormalization UpSampling1D UpSampling2D UpSampling3D
ZeroPadding1D ZeroPadding2D ZeroPadding3D CuDNNGRU CuDNNLSTM
AutoContrast AugMix CutMix Equalization MixUp RandAugment ReversibleEmbedding
"""
_MODELS = "Functional Model Sequential"
_OPTIMIZERS = """
Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer Muon Nadam RMSprop SGD
CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay
"""
_LOSSES = """
BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy CategoricalFocalCrossentropy
CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity Dice Hinge Huber KLDivergence LogCosh
MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
SparseCategoricalCrossentropy SquaredHinge Tversky
"""
_METRICS = """
AUC Accuracy BinaryAccuracy BinaryIoU CategoricalAccuracy ConcordanceCorrelation F1Score FBetaScore FalseNegatives
FalsePositives IoU Mean MeanIoU MeanMetricWrapper MeanRelativeError MeanTensor OneHotIoU OneHotMeanIoU
PearsonCorrelation Precision PrecisionAtRecall R2Score Recall RecallAtPrecision RootMeanSquaredError
SensitivityAtSpecificity SparseCategoricalAccuracy SparseTopKCategoricalAccuracy SpecificityAtSensitivity Sum
TopKCategoricalAccuracy TrueNegatives TruePositives
"""
_REST = """
Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones
Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFTInitializer TruncatedNormal VarianceScaling Zeros
L1 L1L2 L2 OrthogonalRegularizer MaxNorm MinMaxNorm NonNeg RadialConstraint UnitNorm
DTypePolicy DTypePolicyMap FloatDTypePolicy GPTQDTypePolicy Policy QuantizedDTypePolicy QuantizedFloat8DTypePolicy
CompileConfig InputSpec SeedGenerator
"""
_OPERATIONS = """
Abs Absolute Arange Argmax Argmin Cast Ceil Clip Cos Divide Einsum Elu Equal Exp ExpandDims Expm1 Floor Full Gelu
GetItem Greater GreaterEqual HardSigmoid Less LessEqual Log Log1p LogSigmoid LogSoftmax LogicalAnd LogicalNot LogicalOr
Logsumexp Matmul Max Min Moveaxis Negative Normalize NotEqual OneHot OnesLike Pad Power Prod Relu Relu6 Repeat Round
Rsqrt Selu Sigmoid Sign Silu Sin Softplus Softsign Split Sqrt Square Squeeze Stack StopGradient Take Tanh Tile TopK
Transpose TrueDivide Var Where ZerosLike
"""
_FUNCTIONS = """
celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus
sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
accuracy binary_accuracy binary_crossentropy binary_focal_crossentropy categorical_accuracy
categorical_crossentropy categorical_focal_crossentropy categorical_hinge cosine_similarity ctc dice hinge huber
huber_loss kl_divergence kld log_cosh logcosh mae mape mean_absolute_error mean_absolute_percentage_error
mean_squared_error mean_squared_logarithmic_error mse msle poisson sparse_categorical_accuracy
sparse_categorical_crossentropy sparse_top_k_categorical_accuracy squared_hinge top_k_categorical_accuracy tversky
glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform ones orthogonal random_normal
random_uniform truncated_normal zeros
"""
_VALUES = "__bytes__ __ellipsis__ __keras_tensor__ __numpy__ __slice__ __tensor__ __tuple__ CompileConfig TensorShape"

CLASSES = frozenset(" ".join((_LAYERS, _MODELS, _OPTIMIZERS, _LOSSES, _METRICS, _REST, _OPERATIONS)).split())
"""Classes of Keras that compute and do not read files, run code or fetch anything."""
VALUES = frozenset(_VALUES.split())
"""Marks for plain values, which Keras resolves without looking up a module."""
FUNCTIONS = frozenset(_FUNCTIONS.split())
"""Functions of Keras that a configuration may name: activations, losses, metrics and initialisers."""
WITH_VOCABULARY = frozenset({"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"})
"""Layers that open a file when their vocabulary is text."""


def is_keras_module(module: str) -> bool:
    """Whether a module belongs to Keras."""
    return any(module == root or module.startswith(root + ".") for root in MODULES)


_CODE = frozenset({"Lambda", "__lambda__", "TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod"})
_FETCH = frozenset({"get_file", "load_data", "load_img", "load_model", "load_weights", "save_model"})
_SWITCHES = frozenset({"enable_unsafe_deserialization", "disable_safe_mode"})
_FUNCTION = "function"
_MAX_NODES = 5_000_000


def is_keras_object(value: Any) -> bool:
    """Whether a JSON value is an object that Keras would build."""
    return isinstance(value, dict) and isinstance(value.get("class_name"), str) and "config" in value


def judge_config(piece: Input, root: Any, where: str = "") -> int:
    """Write findings for every object in a configuration that is not on the list of Keras's own.

    Args:
        piece: where the configuration stands.
        root: the parsed JSON.
        where: name of the attribute that holds it; empty for a file of its own.

    Returns:
        How many objects it describes.
    """
    judge = _KerasConfigExaminer(piece, where)
    stack, nodes, objects = [root], 0, 0
    while stack:
        value = stack.pop()
        nodes += 1
        if nodes > _MAX_NODES:
            raise ValueError("a Keras configuration of more values than the limit")
        if isinstance(value, dict):
            if "class_name" in value:
                objects += is_keras_object(value)
                judge.entry(value)
            judge.keys(value)
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, str):
            judge.text(value)
    return objects


class _KerasConfigExaminer:
    """Writes each finding once per rule and symbol."""

    def __init__(self, piece: Input, where: str) -> None:
        self._piece = piece
        self._prefix = f"{where}: " if where else ""
        self._seen: set[tuple[str, str]] = set()

    def _find(self, rule: str, message: str, symbol: str, severity: Severity | None = None) -> None:
        symbol = printable(symbol, 120)
        if (rule, symbol) not in self._seen:
            self._seen.add((rule, symbol))
            self._piece.exam.finding(
                rule, self._prefix + message, member=self._piece.source.member, symbol=symbol, severity=severity
            )

    def entry(self, value: dict[str, Any]) -> None:
        """Judge one dict that has a class name."""
        name, module, config = value["class_name"], value.get("module"), value.get("config")
        if not isinstance(name, str):
            self._find("ART-612", "class_name is no text", "class_name")
            return
        shown = printable(name, 80)
        # Registered names carry their package in front: `package>Name`.
        base = name.rsplit(">", 1)[-1]
        # CVE-2024-3660: the marshalled code of a Lambda layer runs when the model is loaded.
        if base in _CODE:
            self._find("ART-610", f"{shown} runs code that is stored in the configuration", base)
            return
        # CVE-2025-49655: Keras gave the pickle in its configuration to torch.load.
        if base == "TorchModuleWrapper":
            self._find("ART-615", f"{shown} unpickles a PyTorch module when it is loaded", base)
            return
        self._module(module, name)
        function = name == _FUNCTION
        target = config if function else name
        if isinstance(target, dict):
            target = target.get("name", target.get("config"))
        self._name(str(target), function=function)
        self._registered(value.get("registered_name"))
        # CVE-2025-12058: a vocabulary that is text is a path or an address to read.
        if base in WITH_VOCABULARY and isinstance(config, dict):
            self._vocabulary(shown, config)

    def _module(self, module: Any, name: str) -> None:
        if module is None or (isinstance(module, str) and is_keras_module(module)):
            return
        # Keras writes a function as the class `function` of the module `builtins`.
        if module == "builtins" and (name == _FUNCTION or name in VALUES):
            return
        # CVE-2025-1550: module and class name may be any callable that can be imported.
        shown = f"{printable(str(module), 80)}.{printable(name, 80)}"
        self._find("ART-611", f"loading imports {shown}, which is not part of Keras", shown)

    def _name(self, name: str, *, function: bool) -> None:
        shown = printable(name, 80)
        # CVE-2025-9906: a call in the configuration itself could switch safe mode off.
        if name in _SWITCHES:
            self._find("ART-614", f"loading calls {shown}, which switches safe mode off", name)
        elif name in _FETCH:
            self._find("ART-613", f"loading calls {shown}, which reads or fetches files", name)
        elif name not in (FUNCTIONS if function else CLASSES | VALUES):
            kind = "function" if function else "class"
            self._find("ART-612", f"the {kind} {shown} is not one of Keras's own", name)

    def _registered(self, registered: Any) -> None:
        """A registered name with a package is looked up among custom objects before the module is."""
        if registered is None:
            return
        text = str(registered)
        if text == _FUNCTION or text in FUNCTIONS or text in CLASSES or text in VALUES:
            return
        self._find("ART-612", f"the registered name {printable(text, 80)} is not Keras's own", text)

    def _vocabulary(self, name: str, config: dict[str, Any]) -> None:
        # Only text is opened; a list is the vocabulary itself.
        for key in ("vocabulary", "idf_weights"):
            path = config.get(key)
            if isinstance(path, str):
                shown = printable(path, 120)
                self._find("ART-613", f"{name} opens {shown} when it is loaded", f"{name}.{key}")

    def keys(self, value: dict[str, Any]) -> None:
        """Judge what stands in a dict beside a class name."""
        if value.get("safe_mode") is False:
            self._find("ART-614", "safe_mode is switched off inside the model", "safe_mode")
        if value.get("function_type") == "lambda":
            self._find("ART-610", "a lambda function is stored as marshalled code", "lambda")

    def text(self, value: str) -> None:
        """Judge text that stands for something to open."""
        if value in _SWITCHES:
            self._find("ART-614", f"{value} is named, which switches safe mode off", value)
        elif "://" in value[:12]:
            shown = printable(value, 120)
            self._find("ART-613", f"the configuration names the address {shown}", shown, severity=Severity.HIGH)
