"""Whole modules and helpers of libraries on torch: torchvision, timm, ultralytics, skorch, TabNet, transformers.

Weights are made small and few; what counts is which classes with which attributes a saved module holds.
"""

import importlib
import os
import re
import sys
import tempfile

import numpy as np
import small_data
from optional import optional

X, TWO, REAL = small_data.X.astype(np.float32), small_data.TWO.astype(np.int64), small_data.REAL.astype(np.float32)


DETECTORS = (
    "fasterrcnn_resnet50_fpn retinanet_resnet50_fpn ssd300_vgg16 ssdlite320_mobilenet_v3_large fcos_resnet50_fpn "
    "maskrcnn_resnet50_fpn keypointrcnn_resnet50_fpn fasterrcnn_mobilenet_v3_large_fpn"
)


SMALL = dict.fromkeys(("hidden_size", "intermediate_size", "n_embd", "dim", "d_model", "d_ff", "embedding_size"), 8)
SMALL.update(dict.fromkeys(("n_head", "n_heads", "num_attention_heads", "num_key_value_heads"), 2), vocab_size=30)
SMALL.update(dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), 2), max_position_embeddings=16)
SMALL.update(dict.fromkeys(("n_layer", "n_layers", "num_layers", "num_hidden_layers"), 1), pad_token_id=0)
SMALL.update(encoder_layers=1, decoder_layers=1, d_kv=4, head_dim=4)
"""Every name that a configuration of some family has for a size."""


def _tiny(module):
    """Let all parameters of a type share one small storage: the structure stays, the bytes go."""
    torch = optional("torch")
    for part in module.modules():
        for group in (vars(part)["_parameters"], vars(part)["_buffers"]):
            for name, value in list(group.items()):
                if value is not None and value.numel() > 4:
                    small = value.detach().flatten()[:1].clone().expand(value.shape) if value.dim() else value
                    learned = name in vars(part)["_parameters"]
                    group[name] = torch.nn.Parameter(small, value.requires_grad) if learned else small
    return module


def _ways(torch):
    """Return the ways in which modules are saved."""

    def zipped(thing, path):
        torch.save(thing, path)

    def legacy(thing, path):
        torch.save(thing, path, _use_new_zipfile_serialization=False)

    return [("torch", None, ".pt", zipped), ("torch-legacy", None, ".pt", legacy)]


def _saved(keep, library, label, thunk):
    torch = optional("torch")
    keep(library, label, thunk, own=_ways(torch))
    keep(library, label + " by pickle", thunk)


def _torchvision(keep):
    vision = optional("torchvision")
    if vision is None:
        return
    names = (
        "alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 mnasnet0_5 "
        "mobilenet_v2 mobilenet_v3_small regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x0_5 "
        "squeezenet1_0 swin_t swin_v2_t maxvit_t vgg11 vgg11_bn vit_b_32 wide_resnet50_2"
    )
    for name in names.split():
        _saved(keep, "torchvision", name, lambda name=name: _tiny(getattr(vision.models, name)(weights=None)))
    for group, names in (
        ("segmentation", "fcn_resnet50 deeplabv3_resnet50 deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large"),
        (
            "detection",
            DETECTORS,
        ),
        ("video", "r3d_18 mc3_18 r2plus1d_18 s3d swin3d_t mvit_v1_b"),
        ("optical_flow", "raft_small"),
    ):
        inside = getattr(vision.models, group, None)
        for name in names.split():
            given = {"weights_backbone": None} if group in ("segmentation", "detection") else {}
            _saved(
                keep,
                "torchvision",
                group + "." + name,
                lambda i=inside, n=name, g=given: _tiny(getattr(i, n)(weights=None, **g)),
            )
    _transforms(keep, vision)


def _transforms(keep, vision):
    torch = optional("torch")
    for path in ("transforms", "transforms.v2"):
        module = optional("torchvision." + path)
        for name in sorted(vars(module) if module else ()):
            kind = getattr(module, name)
            if not isinstance(kind, type) or name.startswith("_"):
                continue

            def made(kind=kind):
                for given in (
                    (),
                    (8,),
                    ((8, 8),),
                    ([0.5], [0.5]),
                    (0.5,),
                    ([],),
                    (torch.float32,),
                    (1, 0.5),
                    ([module.ToTensor()],),
                ):
                    try:
                        return kind(*given)
                    except Exception:
                        continue
                return kind()

            keep("torchvision", path + "." + name, made)
        if module:
            keep(
                "torchvision",
                path + ".usual",
                lambda m=module: m.Compose([m.Resize(8), m.CenterCrop(4), m.ToTensor(), m.Normalize([0.5], [0.5])]),
            )
    weights = getattr(vision.models, "ResNet18_Weights", None)
    keep("torchvision", "weights", lambda: weights and weights.DEFAULT)
    keep("torchvision", "weights' transforms", lambda: weights and weights.DEFAULT.transforms())


def _timm(keep):
    timm = optional("timm")
    names = (
        "resnet10t efficientnet_lite0 vit_tiny_patch16_224 mobilenetv3_small_050 convnext_atto "
        "swin_tiny_patch4_window7_224 mixer_s32_224 deit_tiny_patch16_224 regnetx_002 ghostnet_050"
    )
    for name in names.split() if timm is not None else ():
        _saved(keep, "timm", name, lambda name=name: _tiny(timm.create_model(name, pretrained=False)))


def _ultralytics(keep):
    tasks = optional("ultralytics.nn.tasks")
    if tasks is None:
        return
    kinds = {
        "": "DetectionModel",
        "-seg": "SegmentationModel",
        "-pose": "PoseModel",
        "-cls": "ClassificationModel",
        "-obb": "OBBModel",
    }
    names = "yolov3-tiny yolov5n yolov6n yolov8n yolov9t yolov10n yolo11n yolo12n yolov8-rtdetr".split()
    names += [
        "yolov8n-seg",
        "yolov8n-pose",
        "yolov8n-cls",
        "yolov8n-obb",
        "yolo11n-seg",
        "yolo11n-pose",
        "yolo11n-cls",
        "yolo11n-obb",
    ]
    names += [
        "yolov5n6",
        "yolov8n-p2",
        "yolov8n-ghost",
        "yolov9c",
        "yolo11n-cls-resnet18",
        "yolov8n-world",
        "rtdetr-l",
        "yolo26n",
    ]
    for name in names:
        suffix = next((part for part in kinds if part and name.endswith(part)), "")
        kind = {"yolov8n-world": "WorldModel", "rtdetr-l": "RTDETRDetectionModel"}.get(name, kinds[suffix])

        def built(name=name, kind=kind):
            return _tiny(getattr(tasks, kind)(name + ".yaml", verbose=False))

        _saved(keep, "ultralytics", name, built)

        def checkpoint(b=built):
            model = b().half()
            arguments = getattr(model, "args", None)
            found = {"date": "2026-01-01", "version": "8", "epoch": -1, "best_fitness": None, "model": model}
            found.update(ema=None, updates=None, optimizer=None, license="AGPL-3.0", train_results={"epoch": [1]})
            train = dict(arguments) if isinstance(arguments, dict) else {}
            found.update(train_metrics={"fitness": 0.5}, train_args=train)
            return found

        _saved(keep, "ultralytics", name + " checkpoint", checkpoint)
    utils = optional("ultralytics.utils")
    keep("ultralytics", "IterableSimpleNamespace", lambda: utils.IterableSimpleNamespace(lr=0.1))
    keep("ultralytics", "settings", lambda: utils.DEFAULT_CFG)
    results = optional("ultralytics.engine.results")
    torch = optional("torch")
    keep(
        "ultralytics",
        "Results",
        lambda: results.Results(np.zeros((4, 4, 3), np.uint8), "x.jpg", {0: "a"}, boxes=torch.zeros(1, 6)),
    )


def _skorch(keep):
    skorch, tab = optional("skorch"), optional("pytorch_tabnet.tab_model")
    torch = optional("torch")
    if skorch is not None:
        nn = torch.nn

        def net(kind="NeuralNetClassifier", module=nn.Sequential, criterion=nn.CrossEntropyLoss, target=TWO, **given):
            made = getattr(skorch, kind)(module, criterion=criterion, max_epochs=1, verbose=0, lr=0.01, **given)
            return made.fit(X, target)

        linear = {"module": nn.Linear, "module__in_features": 4}
        keep("skorch", "NeuralNetClassifier", lambda: net(module__out_features=2, **linear))
        keep(
            "skorch",
            "NeuralNetRegressor",
            lambda: net(
                "NeuralNetRegressor", criterion=nn.MSELoss, target=REAL[:, None], module__out_features=1, **linear
            ),
        )
        keep(
            "skorch",
            "NeuralNetBinaryClassifier",
            lambda: net(
                "NeuralNetBinaryClassifier",
                criterion=nn.BCEWithLogitsLoss,
                target=TWO.astype(np.float32),
                module__out_features=1,
                **linear,
            ),
        )
        for name in ("Adam", "AdamW", "SGD", "RMSprop"):
            keep(
                "skorch",
                name,
                lambda name=name: net(optimizer=getattr(torch.optim, name), module__out_features=2, **linear),
            )
        from skorch import callbacks

        for name, given in (
            ("EarlyStopping", {}),
            ("LRScheduler", {}),
            ("GradientNormClipping", {}),
            ("EpochScoring", {"scoring": "accuracy"}),
            ("Freezer", {"patterns": ["weight"]}),
        ):
            keep(
                "skorch",
                "callback " + name,
                lambda n=name, g=given: net(callbacks=[getattr(callbacks, n)(**g)], module__out_features=2, **linear),
            )
        keep(
            "skorch",
            "unfitted",
            lambda: skorch.NeuralNetClassifier(nn.Linear, module__in_features=4, module__out_features=2),
        )
        keep("skorch", "predefined", lambda: net(train_split=None, module__out_features=2, **linear))
        keep("skorch", "history", lambda: net(module__out_features=2, **linear).history)
    if tab is not None:
        for name, target in (("TabNetClassifier", TWO), ("TabNetRegressor", REAL[:, None])):

            def fitted(name=name, target=target):
                made = getattr(tab, name)(n_d=2, n_a=2, n_steps=1, verbose=0)
                made.fit(X, target, max_epochs=1, batch_size=16, virtual_batch_size=8)
                return made

            _saved(keep, "pytorch_tabnet", name, fitted)
            keep("pytorch_tabnet", name + " unfitted", lambda name=name: getattr(tab, name)())
            _saved(keep, "pytorch_tabnet", name + " network", lambda f=fitted: f().network)


def _transformer_models(keep):
    module = optional("transformers")
    if module is None:
        return
    for name in (
        "Bert Roberta Electra DistilBert Albert Deberta DebertaV2 GPT2 GPTNeoX Llama "
        "Mistral Qwen2 Gemma Phi Falcon T5 Bart MPNet XLMRoberta ModernBert"
    ).split():
        config = getattr(module, name + "Config", None)
        for suffix in ("Model", "ForSequenceClassification", "ForMaskedLM", "ForCausalLM", "LMHeadModel"):
            kind = getattr(module, name + suffix, None)
            if kind is None or config is None:
                continue

            def built(kind=kind, config=config):
                return _tiny(kind(config(**SMALL)))

            _saved(keep, "transformers", name + suffix, built)
    place = tempfile.mkdtemp()
    for label, given in (
        ("plain", {}),
        ("evaluated", {"num_train_epochs": 1, "weight_decay": 0.01, "logging_dir": place, "report_to": "none"}),
    ):
        for name in ("TrainingArguments", "Seq2SeqTrainingArguments"):
            _saved(
                keep,
                "transformers",
                "%s %s" % (name, label),
                lambda n=name, g=given: getattr(module, n)(output_dir=place, **g),
            )
    for name in (
        "TrainerState",
        "TrainerControl",
        "EarlyStoppingCallback",
        "PrinterCallback",
        "ProgressCallback",
        "DefaultFlowCallback",
    ):
        keep("transformers", name, lambda name=name: getattr(module, name)() if hasattr(module, name) else None)
    sentence = optional("sentence_transformers")
    if sentence is not None:
        models = getattr(sentence, "models", None) or optional("sentence_transformers.models")
        for name, given in (
            ("Pooling", (8,)),
            ("Normalize", ()),
            ("Dense", (8, 4)),
            ("LayerNorm", (8,)),
            ("Dropout", ()),
            ("BoW", (["a", "b"],)),
            ("LSTM", (8, 4)),
            ("CNN", (8,)),
        ):
            _saved(keep, "sentence_transformers", name, lambda n=name, g=given: getattr(models, n)(*g))
        _saved(
            keep,
            "sentence_transformers",
            "SentenceTransformer",
            lambda: sentence.SentenceTransformer(modules=[models.BoW(["a", "b"]), models.Dense(2, 4)], device="cpu"),
        )


def _define_operators():
    """Let torchvision be imported where its compiled operators do not load: modules hold none of them."""
    torch = optional("torch")
    for _ in range(30):
        try:
            importlib.import_module("torchvision")
        except RuntimeError as error:
            found = re.search(r"operator (torchvision::\w+) does not exist", str(error))
            if found is None:
                return
            torch.library.define(found.group(1), "(Tensor a) -> Tensor")
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
        except ImportError:
            return
        else:
            return


def make(keep):
    """Make what is installed; nothing is fetched."""
    _define_operators()
    os.environ.update(
        HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", YOLO_OFFLINE="1", YOLO_CONFIG_DIR=tempfile.mkdtemp()
    )
    for part in (_skorch, _transformer_models, _timm, _torchvision, _ultralytics):
        try:
            part(keep)
        except Exception as error:
            keep.failed.append([part.__name__, repr(error)[:300]])
