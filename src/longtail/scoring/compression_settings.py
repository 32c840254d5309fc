"""Settings of what makes a bundle smaller: 8-bit integers, fewer neighbours."""

from pydantic import Field

from longtail.contracts.settings_base import Settings


class CompressionSettings(Settings):
    """How the student's bundle is made smaller. The sequence encoder's blocks are pruned by training with fewer `blocks`."""

    int8_items: bool = Field(
        False, description="Hold item vectors as 8-bit integers: a quarter of their memory; slower at small batches."
    )
    int8_sequence_encoder: bool = Field(False, description="8-bit weights in the sequence encoder.")
    int8_text_encoder: bool = Field(
        False, description="8-bit weights in the text encoder: about a quarter of its size, somewhat faster."
    )
    keep_neighbours: int = Field(
        0, ge=0, description="Greatest entries of each row that the sparse matrix keeps; 0 keeps all."
    )
    keep_ndcg: float = Field(
        0.995, ge=0, le=1, description="Compression that keeps less of the validation NDCG@10 is refused."
    )

    @property
    def compresses(self) -> bool:
        """Whether anything is to be done."""
        return any((self.int8_items, self.int8_sequence_encoder, self.int8_text_encoder, self.keep_neighbours))
