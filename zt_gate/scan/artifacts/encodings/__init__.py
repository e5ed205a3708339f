"""Readers of the encodings below several formats: protobuf, FlatBuffers, Thrift."""
