"""What a Keras configuration may name: exact classes and functions of Keras itself, frozen as data.

Keras resolves `module` and `class_name` from the file, so that a name outside Keras is an import of the author's
choice (CVE-2025-1550). A class that is missing here is reported as unknown, never guessed from its module.
"""

from __future__ import annotations

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
