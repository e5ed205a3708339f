"""What people build from scikit-learn's estimators: pipelines, searches, ensembles of ensembles, and what lies beside.

Every object is a recipe as text, evaluated against the names of the version that is installed: one that this version
cannot make is noted as failed. Written for scikit-learn 0.18 and later, on Python 2.7 and later.
"""

import importlib
import os
import sys

import numpy as np

import small_data

MODULES = (
    "base calibration cluster compose covariance cross_decomposition decomposition discriminant_analysis dummy ensemble exceptions "
    "feature_extraction feature_extraction.text feature_selection frozen gaussian_process gaussian_process.kernels impute "
    "inspection isotonic kernel_approximation kernel_ridge linear_model manifold metrics metrics.pairwise mixture model_selection "
    "multiclass multioutput naive_bayes neighbors neural_network pipeline preprocessing random_projection semi_supervised svm tree "
    "tree._tree utils utils.validation"
).split()

CLASSIFIERS = (
    "LogisticRegression()",
    "RandomForestClassifier(n_estimators=3, max_depth=3)",
    "GradientBoostingClassifier(n_estimators=3)",
    "SVC(probability=True)",
    "KNeighborsClassifier(3)",
    "GaussianNB()",
    "SGDClassifier(max_iter=5)",
    "MLPClassifier(hidden_layer_sizes=(3,), max_iter=5)",
    "DecisionTreeClassifier()",
    "ExtraTreesClassifier(n_estimators=3)",
    "HistGradientBoostingClassifier(max_iter=3)",
    "AdaBoostClassifier(n_estimators=3)",
    "LinearSVC()",
    "RidgeClassifier()",
    "LinearDiscriminantAnalysis()",
    "GaussianProcessClassifier()",
)
REGRESSORS = tuple(
    "LinearRegression() Ridge() Lasso() RandomForestRegressor(n_estimators=3,max_depth=3) SVR() KNeighborsRegressor(3) "
    "GradientBoostingRegressor(n_estimators=3) MLPRegressor(hidden_layer_sizes=(3,),max_iter=5) DecisionTreeRegressor() "
    "HistGradientBoostingRegressor(max_iter=3) GaussianProcessRegressor() HuberRegressor() RANSACRegressor()".split()
)

ON_CLASSES = (
    ("three", "Pipeline([('scale', StandardScaler()), ('model', {})])"),
    ("three", "make_pipeline(MinMaxScaler(), PCA(2), {})"),
    ("three", "make_pipeline(SelectKBest(f_classif, k=2), {})"),
    ("three", "make_pipeline(PolynomialFeatures(2), StandardScaler(), {})"),
    ("three", "GridSearchCV(make_pipeline(StandardScaler(), {}), {{'standardscaler__with_mean': [True, False]}}, cv=2)"),
    ("three", "BaggingClassifier({}, n_estimators=2)"),
    ("three", "CalibratedClassifierCV({}, cv=2)"),
    ("three", "CalibratedClassifierCV({}, method='isotonic', cv=2)"),
    ("three", "OneVsRestClassifier({})"),
    ("three", "OneVsOneClassifier({})"),
    ("three", "OutputCodeClassifier({})"),
    ("three", "VotingClassifier([('a', {}), ('b', GaussianNB())])"),
    ("three", "VotingClassifier([('a', {}), ('b', GaussianNB())], voting='soft', weights=[1, 2])"),
    ("three", "StackingClassifier([('a', {}), ('b', GaussianNB())], cv=2)"),
    ("three", "StackingClassifier([('a', {}), ('b', 'drop')], final_estimator=RandomForestClassifier(n_estimators=2), passthrough=True, cv=2)"),
    ("three", "SelfTrainingClassifier({})"),
    ("three", "FrozenEstimator({}.fit(X, THREE))"),
    ("two strings", "TunedThresholdClassifierCV({}, cv=2)"),
    ("two strings", "FixedThresholdClassifier({})"),
    ("three", "AdaBoostClassifier({}, n_estimators=2)"),
)
ON_REALS = (
    ("real", "Pipeline([('scale', RobustScaler()), ('model', {})])"),
    ("real", "TransformedTargetRegressor({}, func=np.log1p, inverse_func=np.expm1)"),
    ("real", "TransformedTargetRegressor({}, transformer=StandardScaler())"),
    ("real", "BaggingRegressor({}, n_estimators=2)"),
    ("real", "AdaBoostRegressor({}, n_estimators=2)"),
    ("real", "VotingRegressor([('a', {}), ('b', Ridge())])"),
    ("real", "StackingRegressor([('a', {}), ('b', Ridge())], cv=2)"),
    ("two targets", "MultiOutputRegressor({})"),
    ("two targets", "RegressorChain({})"),
    ("real", "RANSACRegressor({}, min_samples=5)"),
    ("real", "GridSearchCV({}, {{}}, cv=2)"),
)


RECIPES = (
    # columns of frames
    ("mixed", "ColumnTransformer([('n', StandardScaler(), ['age', 'income']), ('c', OneHotEncoder(), ['city', 'size'])])"),
    ("mixed", "ColumnTransformer([('n', SimpleImputer(), ['age', 'income'])])"),
    ("mixed", "ColumnTransformer([('n', SimpleImputer(), [0])], remainder='drop')"),
    ("frame", "ColumnTransformer([('n', StandardScaler(), ['petal_length'])], remainder='passthrough')"),
    ("frame", "ColumnTransformer([('n', StandardScaler(), ['petal_length'])], remainder=MinMaxScaler())"),
    ("frame", "ColumnTransformer([('n', StandardScaler(), slice(0, 2)), ('m', 'passthrough', [2])])"),
    ("frame", "ColumnTransformer([('n', StandardScaler(), ['petal_length']), ('d', 'drop', [0])])"),
    ("frame", "ColumnTransformer([('n', StandardScaler(), [True, False, True, False])], remainder='passthrough')"),
    ("frame", "ColumnTransformer([('n', StandardScaler(), np.array([0, 1]))], verbose_feature_names_out=False)"),
    ("frame", "ColumnTransformer([('n', StandardScaler(), [0])], remainder='passthrough', force_int_remainder_cols=False)"),
    ("mixed", "ColumnTransformer([('n', SimpleImputer(), make_column_selector(dtype_include=np.number))])"),
    ("mixed", "ColumnTransformer([('n', SimpleImputer(), make_column_selector(pattern='age|income'))], sparse_threshold=0)"),
    ("mixed", "make_column_transformer((make_pipeline(SimpleImputer(strategy='median'), StandardScaler()), ['age', 'income']), "
     "(OneHotEncoder(handle_unknown='ignore'), ['city']), (OrdinalEncoder(), ['size']), remainder='passthrough')"),
    ("mixed", "make_pipeline(make_column_transformer((SimpleImputer(), ['age']), (OneHotEncoder(handle_unknown='ignore'), ['city'])), LogisticRegression())"),
    ("mixed", "make_pipeline(make_column_transformer((SimpleImputer(), ['age']), (OneHotEncoder(), ['city'])), RandomForestClassifier(n_estimators=2))"),
    ("mixed", "GridSearchCV(make_pipeline(make_column_transformer((SimpleImputer(), ['age']), (OneHotEncoder(), ['city'])), "
     "LogisticRegression()), {'logisticregression__C': np.logspace(-1, 1, 3)}, cv=2)"),
    ("frame", "ColumnTransformer([('n', StandardScaler(), ['petal_length'])]).set_output(transform='pandas')"),
    ("frame", "make_pipeline(StandardScaler(), PCA(2)).set_output(transform='pandas')"),
    ("mixed", "make_pipeline("
     "make_column_transformer((OrdinalEncoder(), ['city', 'size']), remainder='passthrough'), HistGradientBoostingClassifier(max_iter=3, categorical_features=[0, 1]))"),
    ("frame", "HistGradientBoostingClassifier(max_iter=3, categorical_features=[False, False, False, False], monotonic_cst={'petal_length': 1})"),
    ("frame", "HistGradientBoostingClassifier(max_iter=5, early_stopping=True, n_iter_no_change=2, interaction_cst='pairwise')"),
    ("frame", "HistGradientBoostingClassifier(max_iter=5, early_stopping=True, scoring='accuracy', n_iter_no_change=2)"),
    # texts
    ("texts", "make_pipeline(TfidfVectorizer(), LogisticRegression())"),
    ("texts", "make_pipeline(CountVectorizer(ngram_range=(1, 2), min_df=1), TfidfTransformer(), MultinomialNB())"),
    ("texts", "make_pipeline(TfidfVectorizer(analyzer='char_wb', ngram_range=(2, 3)), LinearSVC())"),
    ("texts", "make_pipeline(HashingVectorizer(n_features=16), SGDClassifier(max_iter=5))"),
    ("texts", "make_pipeline(TfidfVectorizer(tokenizer=str.split), LinearSVC())"),
    ("texts", "make_pipeline(TfidfVectorizer(stop_words='english', sublinear_tf=True), TruncatedSVD(2), LogisticRegression())"),
    ("texts", "FeatureUnion([('w', TfidfVectorizer()), ('c', TfidfVectorizer(analyzer='char'))])"),
    ("texts", "make_pipeline(make_union(CountVectorizer(), TfidfVectorizer()), LogisticRegression())"),
    ("texts", "make_pipeline(CountVectorizer(vocabulary=['cat', 'dog']), LatentDirichletAllocation(2, max_iter=2))"),
    ("texts", "GridSearchCV(make_pipeline(TfidfVectorizer(), LogisticRegression()), {'tfidfvectorizer__ngram_range': [(1, 1), (1, 2)], 'logisticregression__C': [0.1, 1]}, cv=2)"),
    ("dictionaries", "make_pipeline(DictVectorizer(), LogisticRegression())"),
    ("dictionaries", "make_pipeline(DictVectorizer(sparse=False), DecisionTreeClassifier())"),
    # searches
    ("three", "GridSearchCV(SVC(), {'C': [1, 10], 'kernel': ['linear', 'rbf']}, cv=2, return_train_score=True)"),
    ("three", "GridSearchCV(SVC(), [{'C': [1]}, {'kernel': ['linear'], 'gamma': ['auto', 0.1]}], cv=KFold(2))"),
    ("three", "GridSearchCV(LogisticRegression(), {'C': np.logspace(-2, 2, 3)}, scoring=['accuracy', 'f1_macro'], refit='accuracy', cv=2)"),
    ("three", "GridSearchCV(LogisticRegression(), {'C': [1.0]}, scoring={'a': make_scorer(accuracy_score), 'b': 'f1_macro'}, refit='a', cv=2)"),
    ("three", "GridSearchCV(LogisticRegression(), {'C': [1.0]}, scoring=make_scorer(f1_score, average='macro'), cv=StratifiedKFold(2, shuffle=True, random_state=1))"),
    ("three", "GridSearchCV(RandomForestClassifier(n_estimators=2), {'max_depth': [2, None]}, cv=ShuffleSplit(2), refit=False)"),
    ("three", "GridSearchCV(RandomForestClassifier(n_estimators=2), {'max_depth': [2, None]}, cv=StratifiedShuffleSplit(2), verbose=0, n_jobs=None)"),
    ("three", "RandomizedSearchCV(LogisticRegression(), {'C': stats.uniform(0.1, 4)}, n_iter=2, cv=2, random_state=1)"),
    ("three", "RandomizedSearchCV(RandomForestClassifier(n_estimators=2), {'max_depth': stats.randint(1, 4), 'criterion': ['gini', 'entropy']}, n_iter=2, cv=2, random_state=np.random.RandomState(1))"),
    ("three", "RandomizedSearchCV(SVC(), {'C': stats.expon(scale=10), 'gamma': stats.reciprocal(0.01, 1)}, n_iter=2, cv=2)"),
    ("three", "HalvingGridSearchCV(LogisticRegression(), {'C': [0.1, 1]}, cv=2, min_resources=12)"),
    ("three", "HalvingRandomSearchCV(LogisticRegression(), {'C': stats.loguniform(0.1, 1)}, cv=2, min_resources=12)"),
    ("three", "LogisticRegressionCV(Cs=3, cv=2, scoring='accuracy')"),
    ("three", "LogisticRegressionCV(Cs=[0.1, 1], cv=StratifiedKFold(2), scoring=make_scorer(accuracy_score))"),
    ("real", "RidgeCV(alphas=np.logspace(-1, 1, 3), scoring='r2')"),
    ("real", "RidgeCV(cv=2)"),
    ("real", "LassoCV(n_alphas=5, cv=KFold(2))"),
    ("real", "ElasticNetCV(l1_ratio=[0.1, 0.9], n_alphas=5, cv=2)"),
    # selection
    ("three", "RFE(LogisticRegression(), 2)" if sys.version_info[0] == 2 else "RFE(LogisticRegression(), n_features_to_select=2)"),
    ("three", "RFECV(LogisticRegression(), cv=2)"),
    ("three", "RFECV(RandomForestClassifier(n_estimators=2), cv=2, scoring='accuracy', importance_getter='feature_importances_')"),
    ("three", "SelectFromModel(RandomForestClassifier(n_estimators=2))"),
    ("three", "SelectFromModel(LogisticRegression(), threshold='1.25*median', max_features=2)"),
    ("three", "SelectFromModel(LogisticRegression(), max_features=len)"),
    ("three", "SequentialFeatureSelector(LogisticRegression(), n_features_to_select=2, cv=2)"),
    ("three", "make_pipeline(SelectKBest(chi2, k=2), LogisticRegression())"),
    ("three", "make_pipeline(SelectPercentile(mutual_info_classif), LogisticRegression())"),
    ("three", "GenericUnivariateSelect(f_classif, mode='k_best', param=2)"),
    ("three", "make_pipeline(VarianceThreshold(), SelectFpr(), LogisticRegression())"),
    ("three", "make_pipeline(FunctionTransformer(np.log1p), LogisticRegression())"),
    ("three", "make_pipeline(FunctionTransformer(np.log1p, np.expm1, validate=True), FunctionTransformer(), SVC())"),
    ("three", "FunctionTransformer(np.power, kw_args={'x2': 2})"),
    ("three", "FunctionTransformer(np.sqrt, feature_names_out='one-to-one')"),
    ("three", "make_pipeline(Nystroem(n_components=4), RBFSampler(n_components=4), Normalizer(), SVC())"),
    ("three", "Pipeline([('a', StandardScaler()), ('b', 'passthrough'), ('c', SVC())], verbose=False)"),
    ("three", "Pipeline([('a', StandardScaler()), ('b', None), ('c', SVC())])"),
    ("three", "Pipeline([('a', StandardScaler()), ('c', SVC())], memory=None)"),
    ("three", "FeatureUnion([('p', PCA(2)), ('s', SelectKBest(k=1))], transformer_weights={'p': 2.0})"),
    ("three", "FeatureUnion([('p', PCA(2)), ('d', 'drop')])"),
    ("three", "make_pipeline(FeatureUnion([('p', PCA(2)), ('s', StandardScaler())]), KernelPCA(2), LogisticRegression())"),
    # several targets, nested ensembles
    ("two classes", "MultiOutputClassifier(RandomForestClassifier(n_estimators=2))"),
    ("multi-label", "ClassifierChain(LogisticRegression(), order=[2, 0, 1])"),
    ("multi-label", "ClassifierChain(LogisticRegression(), order='random', cv=2, random_state=1)"),
    ("multi-label", "OneVsRestClassifier(make_pipeline(StandardScaler(), LogisticRegression()))"),
    ("two targets", "MultiOutputRegressor(GradientBoostingRegressor(n_estimators=2))"),
    ("two targets", "RegressorChain(Ridge(), order=[1, 0])"),
    ("two targets", "make_pipeline(StandardScaler(), PLSRegression(2))"),
    ("three", "StackingClassifier([('rf', RandomForestClassifier(n_estimators=2)), ('p', make_pipeline(StandardScaler(), SVC()))], "
     "final_estimator=VotingClassifier([('a', LogisticRegression()), ('b', GaussianNB())]), cv=KFold(2, shuffle=True), stack_method='predict')"),
    ("three", "StackingClassifier([('a', LogisticRegression().fit(X, THREE))], cv='prefit')"),
    ("three", "CalibratedClassifierCV(SVC().fit(X, THREE), cv='prefit')"),
    ("three", "CalibratedClassifierCV(FrozenEstimator(SVC().fit(X, THREE)))"),
    ("two strings", "CalibratedClassifierCV(LinearSVC(), method='temperature', cv=2)"),
    ("two strings", "TunedThresholdClassifierCV(LogisticRegression(), scoring='balanced_accuracy', cv=2, response_method='predict_proba')"),
    ("two strings", "TunedThresholdClassifierCV(LogisticRegression(), scoring=make_scorer(f1_score, pos_label='setosa'), cv=2, store_cv_results=True)"),
    ("two strings", "FixedThresholdClassifier(LogisticRegression(), threshold=0.3, pos_label='setosa')"),
    ("three", "AdaBoostClassifier(DecisionTreeClassifier(max_depth=1), n_estimators=3)"),
    ("three", "GradientBoostingClassifier(n_estimators=2, init=LogisticRegression())"),
    ("two strings", "GradientBoostingClassifier(n_estimators=2, init='zero', loss='exponential')"),
    ("three", "GradientBoostingClassifier(n_estimators=8, n_iter_no_change=2, validation_fraction=0.3)"),
    ("real", "GradientBoostingRegressor(n_estimators=2, loss='quantile', alpha=0.8)"),
    ("real", "make_pipeline(SplineTransformer(), Ridge())"),
    ("real", "make_pipeline(KBinsDiscretizer(3), Ridge())"),
    ("real", "TransformedTargetRegressor(make_pipeline(StandardScaler(), SVR()), func=np.log, inverse_func=np.exp, check_inverse=False)"),
    ("real", "make_pipeline(QuantileTransformer(n_quantiles=10), PowerTransformer(), Ridge())"),
    ("missing", "make_pipeline(IterativeImputer(BayesianRidge(), max_iter=2), SVC())"),
    ("missing", "make_pipeline(IterativeImputer(ExtraTreesRegressor(n_estimators=2), max_iter=2, random_state=0, add_indicator=True), SVC())"),
    ("missing", "make_pipeline(KNNImputer(), FeatureUnion([('a', SimpleImputer(add_indicator=True))]) , SVC())"),
    ("missing", "make_pipeline(SimpleImputer(strategy='constant', fill_value=0), StandardScaler(), SVC())"),
    ("missing", "make_pipeline(SimpleImputer(missing_values=np.nan, strategy='mean'), SVC())"),
    ("categories", "OneHotEncoder(drop='first')"),
    ("categories", "OneHotEncoder(categories=[['red', 'green', 'blue'], ['s', 'm', 'l']], handle_unknown='ignore')"),
    ("categories", "OneHotEncoder(min_frequency=10, handle_unknown='infrequent_if_exist')"),
    ("categories", "OneHotEncoder(max_categories=2, sparse_output=False, dtype=np.float32)"),
    ("categories", "OneHotEncoder(drop=['red', 's'])"),
    ("categories", "OrdinalEncoder(handle_unknown='use_encoded_value', unknown_value=-1)"),
    ("categories", "OrdinalEncoder(handle_unknown='use_encoded_value', unknown_value=np.nan, encoded_missing_value=-2)"),
    ("categories", "TargetEncoder(cv=2)"),
    ("categories real", "TargetEncoder(cv=2, smooth=2.0, target_type='continuous')"),
    ("frame of categories", "make_pipeline(OneHotEncoder(), LogisticRegression())"),
    # neighbours, kernels, mixtures
    ("three", "KNeighborsClassifier(3, metric='minkowski', p=3, algorithm='ball_tree')"),
    ("three", "KNeighborsClassifier(3, metric='wminkowski', metric_params={'w': np.ones(4), 'p': 2}, algorithm='ball_tree')"),
    ("three", "KNeighborsClassifier(3, metric='mahalanobis', metric_params={'VI': np.eye(4)}, algorithm='ball_tree')"),
    ("three", "KNeighborsClassifier(3, metric='seuclidean', metric_params={'V': np.ones(4)}, algorithm='ball_tree')"),
    ("three", "KNeighborsClassifier(3, metric=distance.euclidean, algorithm='ball_tree')"),
    ("three", "KNeighborsClassifier(3, metric='chebyshev', algorithm='kd_tree')"),
    ("three", "KernelDensity(kernel='tophat', bandwidth=0.5, algorithm='ball_tree')"),
    ("three", "make_pipeline(KNeighborsTransformer(n_neighbors=3), StandardScaler(with_mean=False))"),
    ("three", "SVC(kernel=rbf_kernel)"),
    ("three", "SVC(kernel='poly', degree=2, class_weight={0: 1, 1: 2.0})"),
    ("three", "NuSVC(probability=True)"),
    ("three", "BayesianGaussianMixture(n_components=2, mean_prior=np.zeros(4), degrees_of_freedom_prior=4)"),
    ("three", "GaussianMixture(2, means_init=np.zeros((2, 4)), weights_init=[0.4, 0.6], warm_start=True)"),
    ("three", "AgglomerativeClustering(3, linkage='average', metric='cosine')"),
    ("three", "AgglomerativeClustering(3, connectivity=kneighbors_graph(X, 3, include_self=False), compute_full_tree=True, compute_distances=True)"),
    ("three", "FeatureAgglomeration(2, pooling_func=np.max)"),
    ("three", "Birch(n_clusters=AgglomerativeClustering(2))"),
    ("three", "SpectralClustering(2, affinity='nearest_neighbors', n_neighbors=5)"),
    ("three", "BisectingKMeans(2)"),
    ("three", "IsolationForest(n_estimators=3, contamination=0.1)"),
    ("three", "LocalOutlierFactor(5, novelty=True)"),
    ("three", "OneClassSVM(nu=0.2)"),
    ("three", "EllipticEnvelope()"),
    ("three", "RandomForestClassifier(n_estimators=3, oob_score=True, bootstrap=True, class_weight='balanced_subsample', max_samples=0.8)"),
    ("three", "RandomForestClassifier(n_estimators=3, oob_score=balanced_accuracy_score)"),
    ("three", "RandomForestClassifier(n_estimators=3, criterion='log_loss', monotonic_cst=[0, 0, 0, 0], ccp_alpha=0.01)"),
    ("real", "RandomForestRegressor(n_estimators=2, criterion='absolute_error', max_leaf_nodes=4)"),
    ("real", "SGDRegressor(max_iter=5, learning_rate='adaptive', early_stopping=True)"),
    ("one column", "IsotonicRegression(out_of_bounds='clip', increasing='auto')"),
    ("three", "LinearDiscriminantAnalysis(solver='lsqr', covariance_estimator=LedoitWolf())"),
    ("three", "LabelPropagation(kernel='knn', n_neighbors=3)"),
    ("three", "DummyClassifier(strategy='constant', constant=1)"),
    ("real", "DummyRegressor(strategy='quantile', quantile=0.3)"),
)

KERNELS = (
    "RBF() Matern(nu=1.5) Matern(nu=0.5) RationalQuadratic() ExpSineSquared() DotProduct() ConstantKernel(2.0) WhiteKernel() "
    "RBF()+WhiteKernel() ConstantKernel(1.0)*RBF(length_scale=0.5) RBF()**2 CompoundKernel([RBF(),Matern()]) PairwiseKernel(metric='linear') "
    "RBF([1.0,1.0,1.0,1.0]) RBF(length_scale_bounds='fixed') 2.0*RBF()+WhiteKernel(0.1)+DotProduct() Exponentiation(RBF(),2) "
    "PairwiseKernel(metric='rbf',gamma=0.5) ConstantKernel(constant_value_bounds=(0.1,10.0))"
).split()

BESIDE = (
    "KFold(3, shuffle=True, random_state=1)", "StratifiedKFold(3)", "GroupKFold(2)", "RepeatedKFold(n_splits=2)", "TimeSeriesSplit(3)",
    "ShuffleSplit(2)", "StratifiedShuffleSplit(2)", "GroupShuffleSplit(2)", "LeaveOneOut()", "LeavePOut(2)", "LeaveOneGroupOut()",
    "LeavePGroupsOut(1)", "PredefinedSplit([0, 1, -1])", "StratifiedGroupKFold(2)", "RepeatedStratifiedKFold(n_splits=2)",
    "ParameterGrid({'a': [1, 2]})", "ParameterSampler({'a': stats.uniform()}, 2, random_state=1)",
    "list(KFold(2).split(X))", "GridSearchCV(SVC(), {'C': [1]}, cv=list(KFold(2).split(X))).fit(X, THREE)",
    "make_scorer(accuracy_score)", "make_scorer(mean_squared_error, greater_is_better=False)", "make_scorer(fbeta_score, beta=2, average='macro')",
    "make_scorer(roc_auc_score, response_method='predict_proba')", "make_scorer(roc_auc_score, needs_proba=True)",
    "make_scorer(average_precision_score, needs_threshold=True)", "make_scorer(log_loss, response_method=('predict_proba', 'decision_function'))",
    "get_scorer('accuracy')", "get_scorer('roc_auc')", "get_scorer('neg_log_loss')", "get_scorer('neg_mean_squared_error')",
    "SCORERS", "cross_validate(LogisticRegression(), X, THREE, cv=2, return_estimator=True)", "cross_val_score(SVC(), X, THREE, cv=2)",
    "learning_curve(LogisticRegression(), X, THREE, cv=2)", "classification_report(THREE, THREE, output_dict=True)", "confusion_matrix(THREE, TWO)",
    "[accuracy_score, f1_score, r2_score, roc_auc_score]", "[rbf_kernel, euclidean_distances, cosine_similarity]", "[f_classif, chi2, f_regression]",
    "DistanceMetric.get_metric('euclidean')", "DistanceMetric.get_metric('minkowski', p=3)", "DistanceMetric.get_metric('mahalanobis', V=np.eye(2))",
    "DistanceMetric.get_metric('haversine')", "DistanceMetric.get_metric('seuclidean', V=np.ones(2))", "DistanceMetric.get_metric('hamming')",
    "DistanceMetric.get_metric('pyfunc', func=distance.euclidean)",
    "KDTree(X)", "KDTree(X, leaf_size=3, metric='chebyshev')", "KDTree(X, metric='minkowski', p=3)", "BallTree(X)", "BallTree(X[:, :2], metric='haversine')",
    "BallTree(X, metric='canberra')", "BallTree(X, leaf_size=2)",
    "DecisionTreeClassifier().fit(X, THREE).tree_", "ExtraTreeRegressor().fit(X, REAL).tree_", "permutation_importance(LogisticRegression().fit(X, THREE), X, THREE, n_repeats=2)",
    "partial_dependence(GradientBoostingRegressor(n_estimators=2).fit(X, REAL), X, [0])", "load_iris()", "load_iris(as_frame=True)", "load_wine()", "load_diabetes()", "Bunch(a=1, b=[2])",
    "compute_class_weight('balanced', classes=np.array([0, 1]), y=TWO)", "NotFittedError('fit first')", "ConvergenceWarning('stopped')", "DataConversionWarning('x')",
    "clone(LogisticRegression())", "KMeans(2).fit(X).cluster_centers_", 
    "roc_curve(TWO, X[:, 0])", "precision_recall_curve(TWO, X[:, 0])", "PCA(2).fit_transform(X)", "train_test_split(X, THREE, random_state=1)",
    "(StandardScaler().fit(X), LogisticRegression().fit(X, THREE))", "[LogisticRegression().fit(X, THREE), SVC().fit(X, THREE)]",
    "{'model': RandomForestClassifier(n_estimators=2).fit(X, THREE), 'columns': ['a', 'b'], 'version': '1.0', 'threshold': 0.5, 'scaler': StandardScaler().fit(X)}",
    "{'model': LogisticRegression().fit(X, NAMES), 'labels': LabelEncoder().fit(NAMES), 'metrics': {'accuracy': np.float64(0.9)}}",
    "{'encoders': {'city': LabelEncoder().fit(NAMES)}, 'imputers': [SimpleImputer().fit(X)], 'names': np.array(['a', 'b'], dtype=object)}",
    "_with(LogisticRegression().fit(X, THREE), feature_names=['a', 'b'], note='mine', trained=datetime.datetime(2020, 1, 1), threshold=0.4)",
    "_with(RandomForestClassifier(n_estimators=2).fit(X, THREE), classes_=np.array(['a', 'b', 'c']), metadata={'a': 1})",
    "LabelEncoder().fit(NAMES)", "LabelEncoder().fit(NAMES.astype(object))", "LabelEncoder().fit(THREE)", "LabelEncoder().fit([True, False])", "LabelBinarizer(sparse_output=True).fit(NAMES)", "MultiLabelBinarizer().fit([('a', 'b'), ('c',)])",
    "MultiLabelBinarizer(classes=['a', 'b']).fit([('a', 'b')])", "StandardScaler(with_mean=False).fit(csr)", "MaxAbsScaler().fit(csr)", "TfidfTransformer().fit(csr)", "TruncatedSVD(2).fit(csr)", "MinMaxScaler((0, 2)).fit(X)", "MinMaxScaler(clip=True).fit(X)",
    "StandardScaler().fit(X).partial_fit(X)", "IncrementalPCA(2).fit(X)", "SGDClassifier(max_iter=5, early_stopping=True).fit(X, THREE)", "SGDClassifier(max_iter=5, average=True).fit(X, TWO)", "SGDClassifier(max_iter=5, loss='modified_huber').fit(X, NAMES)", "MLPClassifier((3,), max_iter=3, early_stopping=True).fit(X, THREE)", "MLPClassifier((3,), max_iter=3, solver='sgd', learning_rate='adaptive').fit(X, THREE)", "MLPClassifier((3,), max_iter=3, solver='lbfgs').fit(X, THREE)", "MLPClassifier((3,)).partial_fit(X, THREE, classes=[0, 1, 2])",
    "LogisticRegression(penalty='elasticnet', solver='saga', l1_ratio=0.5, max_iter=5).fit(X, THREE)", "LogisticRegression(class_weight={0: 1.0, 1: 2, 2: 1}).fit(X, THREE)", "LogisticRegression(solver='liblinear', multi_class='ovr').fit(X, TWO)", "LogisticRegression(multi_class='multinomial', solver='lbfgs').fit(X, THREE)",
    "SGDOneClassSVM().fit(X)", "QuadraticDiscriminantAnalysis(store_covariance=True).fit(X, THREE)", "PCA('mle').fit(X)", "PCA(0.9, whiten=True).fit(X)", "FastICA(2, fun='exp').fit(X)", "NMF(2, init='nndsvd').fit(X)", "Isomap(n_neighbors=4).fit(X)", "LocallyLinearEmbedding(n_neighbors=5).fit(X)", "MiniBatchKMeans(2).fit(X).partial_fit(X)", "KMeans(2, init=X[:2], n_init=1).fit(X)", "DBSCAN(metric='manhattan').fit(X)", "OPTICS(min_samples=3).fit(X)", "HDBSCAN(min_cluster_size=5, store_centers='both').fit(X)", "MeanShift().fit(X)", "AffinityPropagation().fit(X)", "GaussianRandomProjection(2).fit(X)", "SparseRandomProjection(2).fit(X)", "OneHotEncoder().fit((X * 3).astype(int))", "Imputer().fit(X)", "Binarizer().fit(X)", "RandomTreesEmbedding(n_estimators=2).fit(X)", "RandomizedLogisticRegression(n_resampling=2).fit(X, TWO)", "GMM(2).fit(X)", "LSHForest(n_estimators=2).fit(X)", "LDA().fit(X, THREE)", "PassiveAggressiveClassifier(max_iter=5).fit(X, THREE)", "Perceptron(max_iter=5).fit(X, THREE)", "GraphicalLasso().fit(X)", "MinCovDet().fit(X)", "PLSRegression(2).fit(X, REAL)", "CCA(1).fit(X, REAL)", "TheilSenRegressor(max_subpopulation=20).fit(X, REAL)", "PoissonRegressor().fit(X, REAL)", "TweedieRegressor(power=1.5, link='log').fit(X, REAL)", "GammaRegressor().fit(X, REAL)", "QuantileRegressor(solver='highs').fit(X, REAL)", "KernelRidge(kernel='rbf').fit(X, REAL)", "BernoulliRBM(2, n_iter=2).fit(X)", "DictionaryLearning(2, max_iter=2).fit(X)", "SparseCoder(np.eye(4)).fit(X)", "LatentDirichletAllocation(2, max_iter=2).fit(X)", "CategoricalNB().fit((X * 3).astype(int), THREE)", "ComplementNB().fit(X, THREE)", "BernoulliNB().fit(X, THREE)", "GaussianNB(priors=[0.2, 0.3, 0.5]).fit(X, THREE)",
    "LogisticRegression().set_fit_request(sample_weight=True)", "SVC().set_score_request(sample_weight='w')", "RandomForestClassifier(n_estimators=2, warm_start=True).fit(X, THREE).set_params(n_estimators=4).fit(X, THREE)",
)


def names():
    """Return every name that recipes may use, from the version that is installed."""
    found = {"np": np}
    for name in MODULES:
        try:
            module = importlib.import_module("sklearn." + name)
        except Exception:
            continue
        for key, value in vars(module).items():
            if not key.startswith("_") and (callable(value) or key == "SCORERS"):
                found.setdefault(key, value)
    for name in ("load_iris", "load_wine", "load_diabetes"):
        found[name] = getattr(importlib.import_module("sklearn.datasets"), name, None)
    try:
        found["Bunch"] = importlib.import_module("sklearn.utils").Bunch
    except Exception:
        found["Bunch"] = importlib.import_module("sklearn.datasets.base").Bunch
    found.update(stats=importlib.import_module("scipy.stats"), distance=importlib.import_module("scipy.spatial.distance"))
    found.update(X=small_data.X, THREE=small_data.THREE, TWO=small_data.TWO, NAMES=small_data.NAMES, REAL=small_data.REAL)
    found.update(csr=importlib.import_module("scipy.sparse").csr_matrix(small_data.X), datetime=importlib.import_module("datetime"))
    found["_with"] = with_attributes
    return found


def with_attributes(thing, **more):
    """Set attributes of one's own on a fitted model, as scripts do."""
    for name, value in more.items():
        setattr(thing, name, value)
    return thing


def make(keep):
    """Make the recipes."""
    out, sys.stdout, sys.stderr = sys.stdout, open(os.devnull, "w"), open(os.devnull, "w")
    try:
        for name in ("enable_hist_gradient_boosting", "enable_iterative_imputer", "enable_halving_search_cv"):
            try:
                importlib.import_module("sklearn.experimental." + name)
            except Exception:
                continue
        _make(keep, names(), dict((data[0], data[1:]) for data in small_data.kinds()))
    finally:
        sys.stdout, sys.stderr = out, sys.__stderr__


def _make(keep, known, kinds):
    kinds["mixed"] = kinds.get("frame mixed")

    def fit(recipe, kind):
        thing = eval(recipe, known)
        x, y, more = kinds[kind]
        return thing.fit(x, y, **more)

    def both(recipe, kind):
        keep("sklearn", "unfitted " + recipe, lambda: eval(recipe, known))
        keep("sklearn", recipe, lambda: fit(recipe, kind))

    for kind, recipe in RECIPES:
        both(recipe, kind)
    for recipe in BESIDE:
        keep("sklearn", recipe, lambda recipe=recipe: eval(recipe, known))
    for kernel in KERNELS:
        keep("sklearn", kernel, lambda kernel=kernel: eval(kernel, known))
        both("GaussianProcessRegressor(%s, optimizer=None)" % kernel, "real")
        both("GaussianProcessClassifier(%s, optimizer=None)" % kernel, "two strings")
    both("GaussianProcessRegressor(ConstantKernel(1.0)*RBF(), normalize_y=True, n_restarts_optimizer=1)", "real")
    for whole, parts in ((ON_CLASSES, CLASSIFIERS), (ON_REALS, REGRESSORS)):
        for row, (kind, recipe) in enumerate(whole):
            for column, part in enumerate(parts):  # a third of all pairs: each whole and each part several times
                if (row + column) % 3 == 0:
                    keep("sklearn", recipe.format(part), lambda: fit(recipe.format(part), kind))
