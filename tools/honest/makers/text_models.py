"""Models of text: gensim, NLTK, spaCy, tokenizers, transformers, Keras tokenizers, CRFs and smaller libraries."""

import io
import json
import os
import sys
import tempfile
import types

import numpy as np
import small_data
from optional import optional

SENTENCES = [text.split() for text in small_data.TEXTS]
TAGGED = [[("the", "DT"), ("cat", "NN"), ("sat", "VB")], [("a", "DT"), ("dog", "NN"), ("ate", "VB")]] * 4
WORDS = sorted({word for line in SENTENCES for word in line})


def _gensim(keep):
    gensim = optional("gensim")
    if gensim is None:
        return
    models = gensim.models
    size = {"size": 5} if gensim.__version__[0] < "4" else {"vector_size": 5}
    passes = {"iter": 2} if gensim.__version__[0] < "4" else {"epochs": 2}
    dictionary = gensim.corpora.Dictionary(SENTENCES)
    corpus = [dictionary.doc2bow(line) for line in SENTENCES]
    keep("gensim", "Dictionary", lambda: gensim.corpora.Dictionary(SENTENCES))
    keep("gensim", "HashDictionary", lambda: gensim.corpora.HashDictionary(SENTENCES))
    small = dict(size, min_count=1, workers=1)
    for number in (0, 1):
        for negative in ({}, {"hs": 1, "negative": 0}):
            keep(
                "gensim",
                "Word2Vec %d" % number,
                lambda n=number, g=negative: models.Word2Vec(SENTENCES, sg=n, **dict(small, **dict(passes, **g))),
            )
    keep("gensim", "KeyedVectors", lambda: models.Word2Vec(SENTENCES, **small).wv)
    keep("gensim", "KeyedVectors normed", lambda: _normed(models.Word2Vec(SENTENCES, **small).wv))
    keep("gensim", "FastText", lambda: models.FastText(SENTENCES, bucket=50, **small))
    keep("gensim", "FastText vectors", lambda: models.FastText(SENTENCES, bucket=50, **small).wv)
    documents = [models.doc2vec.TaggedDocument(line, [n]) for n, line in enumerate(SENTENCES)]
    named = [models.doc2vec.TaggedDocument(line, ["d%d" % n]) for n, line in enumerate(SENTENCES)]
    for number, tagged in ((0, documents), (1, named)):
        keep("gensim", "Doc2Vec %d" % number, lambda n=number, t=tagged: models.Doc2Vec(t, dm=n, **small))
    keep("gensim", "TaggedDocument", lambda: documents[:3])
    for name, given in (
        ("LdaModel", {"num_topics": 2}),
        (
            "LdaModel",
            {
                "num_topics": 2,
                "alpha": "auto",
                "eta": "auto",
                "dtype": np.float64,
                "random_state": np.random.RandomState(1),
            },
        ),
        ("LdaMulticore", {"num_topics": 2, "workers": 1}),
        ("LsiModel", {"num_topics": 2}),
        ("HdpModel", {}),
        ("Nmf", {"num_topics": 2}),
        ("EnsembleLda", {"num_topics": 2, "num_models": 2}),
    ):
        keep("gensim", name, lambda name=name, given=given: getattr(models, name)(corpus, id2word=dictionary, **given))
    keep(
        "gensim",
        "LdaSeqModel",
        lambda: models.LdaSeqModel(
            corpus[:8], time_slice=[4, 4], id2word=dictionary, num_topics=2, passes=1, em_max_iter=1
        ),
    )
    keep(
        "gensim",
        "AuthorTopicModel",
        lambda: models.AuthorTopicModel(corpus, author2doc={"a": [0, 1], "b": [2]}, id2word=dictionary, num_topics=2),
    )
    keep("gensim", "TfidfModel", lambda: models.TfidfModel(corpus))
    keep("gensim", "TfidfModel smart", lambda: models.TfidfModel(corpus, smartirs="ntc", dictionary=dictionary))
    keep("gensim", "LogEntropyModel", lambda: models.LogEntropyModel(corpus))
    keep("gensim", "OkapiBM25Model", lambda: models.OkapiBM25Model(corpus))
    keep("gensim", "RpModel", lambda: models.RpModel(corpus, num_topics=2))
    keep("gensim", "NormModel", lambda: models.NormModel(corpus))
    keep("gensim", "Phrases", lambda: models.Phrases(SENTENCES, min_count=1, threshold=0.1))
    keep("gensim", "Phraser", lambda: models.phrases.Phraser(models.Phrases(SENTENCES, min_count=1, threshold=0.1)))
    keep("gensim", "Phrases npmi", lambda: models.Phrases(SENTENCES, min_count=1, threshold=0.1, scoring="npmi"))
    keep(
        "gensim",
        "CoherenceModel",
        lambda: models.CoherenceModel(topics=[WORDS[:3]], texts=SENTENCES, dictionary=dictionary, coherence="u_mass"),
    )
    similar = gensim.similarities
    keep("gensim", "MatrixSimilarity", lambda: similar.MatrixSimilarity(corpus, num_features=len(dictionary)))
    keep(
        "gensim", "SparseMatrixSimilarity", lambda: similar.SparseMatrixSimilarity(corpus, num_features=len(dictionary))
    )
    keep("gensim", "Similarity", lambda: similar.Similarity(tempfile.mktemp(), corpus, num_features=len(dictionary)))
    keep(
        "gensim",
        "WordEmbeddingSimilarityIndex",
        lambda: similar.WordEmbeddingSimilarityIndex(models.Word2Vec(SENTENCES, **small).wv),
    )


def _normed(vectors):
    getattr(vectors, "fill_norms", getattr(vectors, "init_sims", lambda: None))()
    return vectors


def _nltk(keep):
    nltk = optional("nltk")
    if nltk is None:
        return
    features = [({"first": word[0], "long": len(word) > 3}, len(word) % 2) for word in WORDS]
    keep("nltk", "NaiveBayesClassifier", lambda: nltk.NaiveBayesClassifier.train(features))
    keep("nltk", "DecisionTreeClassifier", lambda: nltk.DecisionTreeClassifier.train(features))
    keep("nltk", "MaxentClassifier", lambda: nltk.MaxentClassifier.train(features, max_iter=2, trace=0))
    keep("nltk", "SklearnClassifier", lambda: _wrapped(features))
    keep("nltk", "FreqDist", lambda: nltk.FreqDist(WORDS))
    keep("nltk", "ConditionalFreqDist", lambda: nltk.ConditionalFreqDist((word[0], word) for word in WORDS))
    for name in "MLEProbDist LaplaceProbDist ELEProbDist WittenBellProbDist SimpleGoodTuringProbDist".split():
        keep(
            "nltk",
            name,
            lambda name=name: getattr(nltk, name)(
                nltk.FreqDist(WORDS), *([] if name in ("MLEProbDist", "SimpleGoodTuringProbDist") else [50])
            ),
        )
    for name in (
        "PorterStemmer LancasterStemmer SnowballStemmer RegexpStemmer WordNetLemmatizer ISRIStemmer RSLPStemmer".split()
    ):
        given = {"SnowballStemmer": ("english",), "RegexpStemmer": ("ing$",)}.get(name, ())
        keep("nltk", name, lambda name=name, given=given: getattr(nltk, name)(*given))
    for language in ("german", "porter", "french", "russian"):
        keep("nltk", "SnowballStemmer " + language, lambda language=language: nltk.SnowballStemmer(language))
    for name in (
        "TreebankWordTokenizer WhitespaceTokenizer WordPunctTokenizer TweetTokenizer "
        "RegexpTokenizer PunktSentenceTokenizer MWETokenizer ToktokTokenizer "
        "SExprTokenizer BlanklineTokenizer LineTokenizer NLTKWordTokenizer"
    ).split():
        module = nltk.tokenize if hasattr(nltk.tokenize, name) else optional("nltk.tokenize.destructive")
        given = {"RegexpTokenizer": (r"\w+",)}.get(name, ())
        keep("nltk", name, lambda name=name, m=module, given=given: getattr(m, name)(*given))
    keep("nltk", "PunktTrained", lambda: nltk.tokenize.PunktSentenceTokenizer("The cat sat. Mr. Dog ate. " * 5))
    keep("nltk", "UnigramTagger", lambda: nltk.UnigramTagger(TAGGED))
    keep(
        "nltk",
        "BigramTagger",
        lambda: nltk.BigramTagger(TAGGED, backoff=nltk.UnigramTagger(TAGGED, backoff=nltk.DefaultTagger("NN"))),
    )
    keep("nltk", "TrigramTagger", lambda: nltk.TrigramTagger(TAGGED, cutoff=0))
    keep("nltk", "RegexpTagger", lambda: nltk.RegexpTagger([(".*ing$", "VBG"), (".*", "NN")]))
    keep("nltk", "AffixTagger", lambda: nltk.AffixTagger(TAGGED))
    keep("nltk", "PerceptronTagger", lambda: _perceptron(nltk))
    keep("nltk", "HiddenMarkovModelTagger", lambda: nltk.HiddenMarkovModelTagger.train(TAGGED))
    keep("nltk", "TnT", lambda: _tnt())
    keep("nltk", "BrillTagger", lambda: _brill(nltk))
    keep("nltk", "ClassifierBasedPOSTagger", lambda: nltk.ClassifierBasedPOSTagger(train=TAGGED))
    keep("nltk", "Tree", lambda: nltk.Tree.fromstring("(S (NP the cat) (VP sat))"))
    keep("nltk", "grammar", lambda: nltk.CFG.fromstring("S -> 'a' S | 'b'"))
    keep("nltk", "RegexpParser", lambda: nltk.RegexpParser("NP: {<DT><NN>}"))
    keep("nltk", "Text", lambda: nltk.Text(WORDS))
    keep("nltk", "finder", lambda: nltk.BigramCollocationFinder.from_words(WORDS))
    language = optional("nltk.lm")
    for name in "MLE Laplace Lidstone KneserNeyInterpolated WittenBellInterpolated StupidBackoff".split():

        def trained(name=name):
            from nltk.lm.preprocessing import padded_everygram_pipeline

            grams, words = padded_everygram_pipeline(2, SENTENCES[:4])
            made = getattr(language, name)(
                *([0.1, 2] if name == "Lidstone" else [2] if name != "StupidBackoff" else [0.4, 2])
            )
            made.fit(grams, words)
            return made

        keep("nltk", "lm " + name, trained)


def _wrapped(features):
    from nltk.classify.scikitlearn import SklearnClassifier
    from sklearn.naive_bayes import BernoulliNB

    return SklearnClassifier(BernoulliNB()).train(features)


def _perceptron(nltk):
    made = nltk.PerceptronTagger(load=False)
    made.train(TAGGED)
    return made


def _tnt():
    from nltk.tag import tnt

    made = tnt.TnT()
    made.train(TAGGED)
    return made


def _brill(nltk):
    from nltk.tag import brill, brill_trainer

    return brill_trainer.BrillTaggerTrainer(nltk.DefaultTagger("NN"), brill.fntbl37(), trace=0).train(
        TAGGED, max_rules=3
    )


def _spacy(keep):
    spacy = optional("spacy")
    if spacy is None:
        return
    for language in ("en", "de", "xx", "fr"):
        keep("spacy", "blank " + language, lambda language=language: spacy.blank(language))

    def piped(*names):
        made = spacy.blank("en")
        for name in names:
            made.add_pipe(name if spacy.__version__[0] >= "3" else made.create_pipe(name))
        return made

    keep("spacy", "sentencizer", lambda: piped("sentencizer"))
    for name in ("entity_ruler", "textcat", "ner", "tagger"):
        keep("spacy", name, lambda name=name: piped(name))
    for text in ("The cat sat.", "Émile likes 3 green apples"):
        keep("spacy", "Doc", lambda text=text: spacy.blank("en")(text))
    keep("spacy", "Vocab", lambda: spacy.blank("en").vocab)
    keep("spacy", "StringStore", lambda: spacy.blank("en").vocab.strings)
    keep("spacy", "Tokenizer", lambda: spacy.blank("en").tokenizer)
    matcher = optional("spacy.matcher")

    def matching():
        made = matcher.Matcher(spacy.blank("en").vocab)
        rules = [[{"LOWER": "cat"}]]
        made.add("CAT", rules) if spacy.__version__[0] >= "3" else made.add("CAT", None, *rules)
        return made

    keep("spacy", "Matcher", matching)
    keep("spacy", "PhraseMatcher", lambda: matcher.PhraseMatcher(spacy.blank("en").vocab))


def _tokenizers(keep):
    module = optional("tokenizers")
    if module is None:
        return
    models, trainers, split = module.models, optional("tokenizers.trainers"), module.pre_tokenizers
    for name in ("BPE", "WordPiece", "Unigram", "WordLevel"):

        def trained(name=name):
            made = module.Tokenizer(
                getattr(models, name)(
                    *([] if name == "Unigram" else []), **({"unk_token": "[UNK]"} if name != "Unigram" else {})
                )
            )
            made.pre_tokenizer = split.Whitespace()
            trainer = getattr(trainers, name.replace("BPE", "Bpe") + "Trainer")(
                vocab_size=60, special_tokens=["[UNK]"], show_progress=False
            )
            made.train_from_iterator(small_data.TEXTS, trainer)
            return made

        keep("tokenizers", "Tokenizer " + name, trained)
        keep("tokenizers", "Encoding " + name, lambda t=trained: t().encode("the cat"))
        keep("tokenizers", "model " + name, lambda t=trained: t().model)
    keep("tokenizers", "AddedToken", lambda: module.AddedToken("[X]", lstrip=True))
    for group in ("pre_tokenizers", "normalizers", "decoders", "processors"):
        inside = getattr(module, group, None)
        for name in sorted(vars(inside) if inside else ()):
            kind = getattr(inside, name)
            if isinstance(kind, type) and not name.startswith("_"):
                keep("tokenizers", group + "." + name, lambda kind=kind: _constructed(kind))


def _constructed(kind):
    """Make something whose arguments are not known: none, or a few of the usual shapes."""
    for given in ((), ("x", "a"), (" ", "isolated"), (("[SEP]", 1), ("[CLS]", 0)), ([],)):
        try:
            return kind(*given)
        except Exception:
            continue
    return kind()


def _vocabulary():
    """Write the small vocabularies that tokenizer classes read; return their folder."""
    place = tempfile.mkdtemp()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + [word.lower() for word in WORDS]
    with io.open(os.path.join(place, "vocab.txt"), "w", encoding="utf-8") as out:
        out.write("\n".join(words))
    letters = sorted(set("".join(WORDS))) + [
        "th",
        "the",
        "<|endoftext|>",
        "<unk>",
        "<s>",
        "</s>",
        "<pad>",
        "<mask>",
        "Ġ",
    ]
    with io.open(os.path.join(place, "vocab.json"), "w", encoding="utf-8") as out:
        out.write(json.dumps({letter: n for n, letter in enumerate(letters)}, ensure_ascii=False))
    with io.open(os.path.join(place, "merges.txt"), "w", encoding="utf-8") as out:
        out.write("#version: 0.2\nt h\nth e\n")
    return place


def _transformers(keep):
    module = optional("transformers")
    if module is None:
        return
    place = _vocabulary()
    text, pairs = (
        os.path.join(place, "vocab.txt"),
        (os.path.join(place, "vocab.json"), os.path.join(place, "merges.txt")),
    )
    for name in (
        "Bert DistilBert Electra MobileBert Funnel LayoutLM Splinter ConvBert RoFormer "
        "SqueezeBert Lxmert DPRReader DPRQuestionEncoder"
    ).split():
        for suffix in ("Tokenizer", "TokenizerFast"):
            keep("transformers", name + suffix, lambda n=name + suffix: getattr(module, n)(text))
            keep(
                "transformers",
                name + suffix + " cased",
                lambda n=name + suffix: getattr(module, n)(text, do_lower_case=False, model_max_length=64),
            )
    for name in "GPT2 Roberta Bart Longformer CTRL OpenAIGPT Deberta CodeGen Blenderbot LED Whisper CLIP".split():
        for suffix in ("Tokenizer", "TokenizerFast"):
            keep("transformers", name + suffix, lambda n=name + suffix: getattr(module, n)(*pairs))
    keep("transformers", "BatchEncoding", lambda: module.BertTokenizer(text)("the cat sat"))
    keep(
        "transformers",
        "BatchEncoding fast",
        lambda: module.BertTokenizerFast(text)(["the cat", "a dog"], padding=True, return_tensors="np"),
    )

    def with_tokens():
        made = module.BertTokenizer(text)
        made.add_tokens(["<new>"])
        made.add_special_tokens({"additional_special_tokens": ["<e1>", "<e2>"]})
        return made

    keep("transformers", "BertTokenizer with tokens", with_tokens)
    mapping = getattr(optional("transformers.models.auto.configuration_auto"), "CONFIG_MAPPING", None)
    mapping = mapping or getattr(optional("transformers.configuration_auto"), "CONFIG_MAPPING", None)
    for number, key in enumerate(sorted(mapping.keys(), key=str) if mapping else ()):
        keep("transformers", "config %s" % key, lambda key=key: mapping[key](), number % 8 == 0)
    keep("transformers", "GenerationConfig", lambda: module.GenerationConfig(max_new_tokens=5))
    for name in (
        "CLIPImageProcessor",
        "ViTImageProcessor",
        "ViTFeatureExtractor",
        "Wav2Vec2FeatureExtractor",
        "WhisperFeatureExtractor",
    ):
        keep("transformers", name, lambda name=name: getattr(module, name)())
    for name in ("TrainingArguments", "Seq2SeqTrainingArguments"):
        keep("transformers", name, lambda name=name: getattr(module, name)(output_dir=place))
    for name in ("TrainerState", "EarlyStoppingCallback", "IntervalStrategy", "SchedulerType"):
        keep(
            "transformers",
            name,
            lambda name=name: (
                getattr(module, name)() if "Str" not in name and "Type" not in name else list(getattr(module, name))
            ),
        )


KERAS = (
    "keras.preprocessing.text",
    "keras.src.preprocessing.text",
    "keras.src.legacy.preprocessing.text",
    "tensorflow.keras.preprocessing.text",
    "tensorflow.python.keras.preprocessing.text",
)
"""Where Keras and TensorFlow kept the very class that `keras_preprocessing.text.Tokenizer` is."""


def _keras(keep):
    module = optional("keras_preprocessing.text")
    if module is None:
        return
    _tokenizer(keep, module.Tokenizer)
    for path in KERAS:
        members = dict(vars(module.Tokenizer), __module__=path)
        for own in ("__dict__", "__weakref__"):
            members.pop(own, None)
        kind = type("Tokenizer", (object,), members)
        for end in range(path.count(".") + 1):
            sys.modules.setdefault(path.rsplit(".", end)[0], types.ModuleType(path.rsplit(".", end)[0]))
        sys.modules[path].Tokenizer = kind
        _tokenizer(keep, kind)
    images = optional("keras_preprocessing.image")
    keep(
        "keras_preprocessing",
        "ImageDataGenerator",
        lambda: images and images.ImageDataGenerator(rotation_range=5, rescale=1 / 255.0),
    )


def _tokenizer(keep, kind):
    for given in ({}, {"num_words": 10, "oov_token": "<OOV>"}, {"char_level": True}, {"filters": "!", "split": ","}):

        def fitted(given=given, newer=False):
            made = kind(**given)
            made.fit_on_texts(small_data.TEXTS)
            if newer:  # TensorFlow 2.7 and later
                made.analyzer = None
            return made

        keep("keras", kind.__module__, fitted, True)
        keep("keras", kind.__module__ + " with analyzer", lambda f=fitted: f(newer=True))
        keep("keras", kind.__module__ + " in a dictionary", lambda f=fitted: {"tokenizer": f(), "maxlen": 20})
    keep("keras", kind.__module__ + " unfitted", lambda: kind())


def _smaller(keep):
    blob = optional("textblob")
    if blob is not None:
        keep("textblob", "TextBlob", lambda: blob.TextBlob("The cat sat."))
        keep("textblob", "Word", lambda: blob.Word("cat"))
        keep("textblob", "NaiveBayesAnalyzer", lambda: optional("textblob.sentiments").PatternAnalyzer())
        simple = optional("textblob.classifiers")
        data = [("good fine", "pos"), ("bad awful", "neg")] * 3
        words = optional("textblob.tokenizers")
        keep("textblob", "WordTokenizer", lambda: words.WordTokenizer())

        def extractor(kind):
            return getattr(simple, kind)(data, feature_extractor=simple.contains_extractor)

        for kind in ("NaiveBayesClassifier", "DecisionTreeClassifier"):
            keep("textblob", kind, lambda kind=kind: extractor(kind))
    vader = optional("vaderSentiment.vaderSentiment")
    if vader is not None:
        keep("vaderSentiment", "SentimentIntensityAnalyzer", lambda: vader.SentimentIntensityAnalyzer())
    rank = optional("rank_bm25")
    for name in ("BM25Okapi", "BM25L", "BM25Plus") if rank is not None else ():
        keep("rank_bm25", name, lambda name=name: getattr(rank, name)(SENTENCES))
    crf = optional("sklearn_crfsuite")
    if crf is not None:
        data = [[{"word": word, "bias": 1.0} for word, _ in line] for line in TAGGED]
        tags = [[tag for _, tag in line] for line in TAGGED]
        keep("sklearn_crfsuite", "CRF", lambda: crf.CRF(max_iterations=3).fit(data, tags))
        keep(
            "sklearn_crfsuite",
            "CRF arow",
            lambda: crf.CRF(algorithm="arow", max_iterations=3, all_possible_transitions=True).fit(data, tags),
        )
        keep("sklearn_crfsuite", "CRF unfitted", lambda: crf.CRF())
    fast = optional("fasttext")
    if fast is not None:
        keep("fasttext", "arguments", lambda: fast.FastText.load_model)


def make(keep):
    """Make what is installed; nothing is fetched."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    for part in (_gensim, _nltk, _spacy, _tokenizers, _transformers, _keras, _smaller):
        try:
            part(keep)
        except Exception as error:
            keep.failed.append([part.__name__, repr(error)[:300]])
