from .errors import AnswerError as AnswerError
from .errors import CosaiError as CosaiError
from .errors import CosaiWarning as CosaiWarning
from .errors import CredentialsError as CredentialsError
from .errors import DeniedError as DeniedError
from .errors import FileError as FileError
from .errors import FrameError as FrameError
from .errors import IncompleteWarning as IncompleteWarning
from .errors import InvalidIdError as InvalidIdError
from .errors import MalformedError as MalformedError
from .errors import MismatchError as MismatchError
from .errors import NotebookError as NotebookError
from .errors import OversizedError as OversizedError
from .errors import RefusedError as RefusedError
from .errors import RepairedWarning as RepairedWarning
from .errors import ServiceError as ServiceError
from .errors import SettingsError as SettingsError
from .errors import UnavailableError as UnavailableError
from .errors import UnknownStateWarning as UnknownStateWarning
from .schema import COLUMNS as COLUMNS

__version__: str
