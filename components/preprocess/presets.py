"""The names that columns have in the known layouts of the setting ``format``."""

PRESETS: dict[str, dict[str, str]] = {
    "longtail": {},
    "movielens": {"user_id": "userId", "item_id": "movieId", "value": "rating", "attributes": "genres"},
    "amazon-2023": {"item_id": "parent_asin", "value": "rating"},
}
# fmt: off
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)
# fmt: on
# MovieLens-100k's files have no header line
HEADERS = {
    "u.data": ("userId", "movieId", "rating", "timestamp"),
    "u.item": ("movieId", "title", "release_date", "video_release_date", "url", *GENRES),
    "u.user": ("userId", "age", "gender", "occupation", "zip_code"),
}
