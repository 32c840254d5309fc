"""Neural parts: text encoder, sequence encoder, losses, export to ONNX. torch and transformers live here."""
