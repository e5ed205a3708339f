"""HDF5 files, and Keras models in them and beside them."""
