"""The KServe model server that loads a Student bundle."""
