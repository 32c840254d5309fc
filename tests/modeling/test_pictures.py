"""Pictures: the vision encoder, vectors that are given, and what cannot be read."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers_prepared import write_tiny_prepared
from PIL import Image
from transformers import CLIPConfig, CLIPModel, ResNetConfig, ResNetModel, ViTConfig, ViTImageProcessor, ViTModel

from longtail.contracts.errors import UserError
from longtail.contracts.prepared import PreparedDataset
from longtail.modeling import pictures as module
from longtail.modeling.pictures import (
    check_dropout,
    encode_pictures,
    has_pictures,
    image_vectors,
    load_vision_encoder,
    read_picture,
    standardised_rows,
)
from longtail.modeling.training_settings import TrainingSettings

CPU = torch.device("cpu")
SIZE = {"height": 32, "width": 32}
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vision transformer of random weights."""
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    ViTModel(ViTConfig(image_size=32, patch_size=16, **TINY)).save_pretrained(folder)
    ViTImageProcessor(size=SIZE).save_pretrained(folder)
    return folder


def prepared_with(folder: Path, images: list[Any]) -> PreparedDataset:
    given = [*images, *[None] * (12 - len(images))]
    return PreparedDataset(write_tiny_prepared(folder / "prepared", n_items=12, n_users=20, images=given))


def pictures_in(folder: Path, count: int = 3) -> list[str]:
    rng = np.random.default_rng(0)
    addresses = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (40, 30, 3), dtype=np.uint8)).save(path)
        addresses.append(str(path))
    return addresses


def test_columns_are_standardised_and_rows_have_length_1() -> None:
    found = standardised_rows(np.array([[1, 10, 5], [3, 10, 5], [5, 10, 8]], np.float32))
    a, b = np.sqrt(1.5), np.sqrt(0.5)  # (5 - 3) / sd 1.633; (5 - 6) / sd 1.414
    rows = np.array([[-a, 0, -b], [0, 0, -b], [a, 0, 2 * b]])
    np.testing.assert_allclose(found, rows / np.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-6)


def test_vectors_are_taken_as_they_are(tmp_path: Path) -> None:
    vectors = [[1.0, 10, 5], None, [3.0, 10, 5], [5.0, 10, 8]]
    found = image_vectors(prepared_with(tmp_path, vectors), None, CPU, False)
    assert found.shape == (12, 3)
    assert not found[[1, *range(4, 12)]].any()
    given = np.array([vector for vector in vectors if vector], np.float32)
    np.testing.assert_array_equal(found[[0, 2, 3]], standardised_rows(given))


def test_without_images_there_are_no_columns(tmp_path: Path) -> None:
    data = PreparedDataset(write_tiny_prepared(tmp_path / "prepared", n_items=12, n_users=20))
    assert image_vectors(data, None, CPU, False).shape == (12, 0)


def test_pictures_are_read_by_the_encoder(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Item 1 has none; in batches of two, the vectors are the means of the last states, computed here by the model itself."""
    monkeypatch.setattr(module, "BATCH", 2)
    first, *rest = pictures_in(tmp_path)
    found = image_vectors(prepared_with(tmp_path, [first, None, *rest]), str(encoder), CPU, False)
    model, processor = ViTModel.from_pretrained(encoder).eval(), ViTImageProcessor.from_pretrained(encoder)
    pictures = [Image.open(address) for address in (first, *rest)]
    with torch.no_grad():
        states = model(**processor(images=pictures, return_tensors="pt")).last_hidden_state
    np.testing.assert_allclose(found[[0, 2, 3]], standardised_rows(states.mean(dim=1).numpy()), atol=1e-5)
    assert not found[[1, *range(4, 12)]].any()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_colour_is_read(mode: str, tmp_path: Path) -> None:
    picture = Image.new("RGB", (5, 4), (200, 10, 30)).convert(mode)
    picture.save(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"))
    found = read_picture(str(next(tmp_path.iterdir())))
    assert (found.mode, found.size) == ("RGB", (5, 4))


def test_pictures_of_a_bucket() -> None:
    import fsspec

    stream = io.BytesIO()
    Image.new("RGB", (5, 4), (200, 10, 30)).save(stream, "PNG")
    fsspec.filesystem("memory").pipe("/shop/a.png", stream.getvalue())
    assert read_picture("memory://shop/a.png").getpixel((0, 0)) == (200, 10, 30)


def test_other_kinds_of_encoder(tmp_path: Path) -> None:
    """A convolution: means over height and width. A model of pictures and texts: the vector that it compares."""
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
    text = {**TINY, "vocab_size": 20, "max_position_embeddings": 8}
    clip = CLIPConfig(text_config=text, vision_config={**TINY, "image_size": 32, "patch_size": 16}, projection_dim=10)
    pictures = [read_picture(address) for address in pictures_in(tmp_path)]
    for model, width in ((ResNetModel(config), 12), (CLIPModel(clip), 10)):
        folder = tmp_path / str(width)
        model.save_pretrained(folder)
        ViTImageProcessor(size=SIZE).save_pretrained(folder)
        found = encode_pictures(load_vision_encoder(str(folder)), pictures, CPU, False)
        assert found.shape == (3, width)
        assert np.isfinite(found).all()
        assert np.ptp(found, axis=0).max() > 1e-6


def test_pictures_that_cannot_be_read_are_named_together(tmp_path: Path, encoder: Path) -> None:
    good, cut, wrong = pictures_in(tmp_path)
    Path(cut).write_bytes(Path(cut).read_bytes()[:200])
    Path(wrong).write_text("<html>")
    data = prepared_with(tmp_path, [good, cut, wrong, str(tmp_path / "none.png")])
    with pytest.raises(UserError) as error:
        image_vectors(data, str(encoder), CPU, False)
    for word in (
        "item 'i001'",
        cut,
        "item 'i002'",
        wrong,
        "item 'i003'",
        "none.png: no such file",
        "leave their column",
    ):
        assert word in str(error.value)


def test_a_bucket_that_is_out_of_reach_is_not_asked_for_every_picture(tmp_path: Path, encoder: Path) -> None:
    data = prepared_with(tmp_path, [f"memory://nowhere/{number}.png" for number in range(12)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH", 2)
        patch.setattr(module, "MOST_FAULTS", 4)
        with pytest.raises(UserError, match=r"3\.png|1 more"):
            image_vectors(data, str(encoder), CPU, False)


def test_a_picture_too_large_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError, match=r"0\.png: is no picture that can be read"):
        read_picture(pictures_in(tmp_path)[0])


def test_addresses_without_an_encoder_are_left_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Many catalogues have such a column for other ends; none of these files is there."""
    data = prepared_with(tmp_path, ["a.png", "b.png"])
    assert image_vectors(data, None, CPU, False).shape == (len(data.item_ids), 0)
    assert "pictures of 2 items are left aside; name an encoder that reads them (finetune.image_model)" in caplog.text


def test_an_encoder_needs_addresses(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"finetune\.image_model: is 'x', but the items have vectors in the column"):
        image_vectors(prepared_with(tmp_path, [[1.0, 2.0]]), "x", CPU, False)
    data = PreparedDataset(write_tiny_prepared(tmp_path / "bare"))
    with pytest.raises(UserError, match=r"finetune\.image_model: is 'x', but the items have no column image"):
        image_vectors(data, "x", CPU, False)


def test_an_encoder_that_cannot_be_had(tmp_path: Path, encoder: Path, tiny_encoder: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tiny_encoder):
        with pytest.raises(UserError, match=r"finetune\.image_model: '.*' cannot be loaded .*; give a local folder"):
            load_vision_encoder(str(folder))


def test_an_encoder_without_all_of_its_weights(tmp_path: Path) -> None:
    """Weights that are made up at random would give vectors that mean nothing."""
    ViTModel(ViTConfig(image_size=32, patch_size=16, **TINY)).save_pretrained(tmp_path)
    ViTConfig(image_size=32, patch_size=16, **(TINY | {"num_hidden_layers": 2})).save_pretrained(tmp_path)
    ViTImageProcessor(size=SIZE).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"lacks weights \(.*\); give a whole model"):
        load_vision_encoder(str(tmp_path))


def test_weights_of_another_kind_are_not_loaded(tmp_path: Path, encoder: Path) -> None:
    """pytorch_model.bin is a pickle."""
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((encoder / name).read_bytes())
    torch.save(ViTModel.from_pretrained(encoder).state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"finetune\.image_model: .*cannot be loaded"):
        load_vision_encoder(str(tmp_path))


def test_hiding_pictures_needs_pictures(tmp_path: Path) -> None:
    bare = PreparedDataset(write_tiny_prepared(tmp_path / "bare"))
    check_dropout(has_pictures(bare, None), TrainingSettings(), "distill")
    unread = prepared_with(tmp_path / "unread", ["a.png"])
    for data in (bare, unread):
        with pytest.raises(
            UserError, match=r"distill\.training\.image_dropout: is 0\.5, but no picture of an item is read"
        ):
            check_dropout(has_pictures(data, None), TrainingSettings(image_dropout=0.5), "distill")
    seen = prepared_with(tmp_path / "seen", [[1.0]])
    for data, encoder in ((seen, None), (unread, "some/encoder")):
        check_dropout(has_pictures(data, encoder), TrainingSettings(image_dropout=0.5), "distill")
